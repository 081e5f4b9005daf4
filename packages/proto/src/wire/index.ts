/**
 * Frames and codes as docs/PROTOCOL.md has them on the wire.
 *
 * @module @routy/proto/wire
 */
export {
  LANE_CODES,
  type LaneCode,
  laneCodeName,
  STREAM_CODES,
  type StreamCode,
  streamCodeName,
} from './codes.ts';
export { type Agreement, type Hello, type OpenPayload, openFault } from './payload.ts';
export { ProtocolError, type ProtocolErrorCode } from './protocol-error.ts';
