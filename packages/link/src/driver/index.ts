export type {
  DriverHandlers,
  IncomingStream,
  LaneCode,
  LaneEnd,
  LaneFacts,
  OpenHandlers,
  OpenRequest,
  SessionDriverApi,
  SessionEnd,
  StreamCode,
} from './driver-types.ts';
export { type PendingLaneHost, type HandshakeEnd, PendingLane } from './pending-lane.ts';
export { LaneLink } from './lane-link.ts';
export { PeerTurns } from './peer-turns.ts';
export { startSession } from './session-driver.ts';
export {
  createPools,
  type DriverOptions,
  handshakeOptions,
  type SessionCommons,
} from './session-options.ts';
