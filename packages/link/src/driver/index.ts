/**
 * Sessions over lanes, below `createLink`: what the daemon and the link are made of.
 *
 * @module @routy/link/driver
 */
export type {
  DriverHandlers,
  IncomingStream,
  LaneCode,
  LaneEnd,
  LiveLane,
  OpenHandlers,
  OpenRequest,
  SessionDriverApi,
  SessionEnd,
  StreamCode,
} from './driver-types.ts';
export { LaneLink } from './lanes/lane-link.ts';
export { type HandshakeEnd, PendingLane, type PendingLaneHost } from './lanes/pending-lane.ts';
export { PeerScheduler } from './peer-scheduler.ts';
export { startSession } from './session-driver.ts';
export {
  createPools,
  type DriverOptions,
  handshakeOptions,
  type SessionCommons,
} from './session-options.ts';
