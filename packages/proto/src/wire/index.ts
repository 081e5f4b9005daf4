export { type LaneCode, type StreamCode } from './codes.ts';
export { type Hello, type OpenPayload } from './payload.ts';
