/**
 * Ways to make lanes: the port `Transport`, TLS, plain TCP and unix sockets as ones of it, and what
 * they are made of. A program needs it for a transport of its own.
 *
 * @module @routy/link/transport
 */
export { type DialOptions, dialLane, dialTcp } from './dial.ts';
export { laneFailure, systemCode } from './failures.ts';
export {
  LANE_EXPORTER_BYTES,
  LANE_EXPORTER_LABEL,
  LANE_HIGH_WATER_BYTES,
  LANE_LINGER_MS,
  type Lane,
  type LaneHandlers,
  type LaneOutcome,
  laneOutcome,
  lingerFailure,
} from './lane.ts';
export { LinkError, type LinkErrorCode } from './link-error.ts';
export { type LaneListener, type ListenOptions, listenLanes } from './listen.ts';
export { libc, libcLoaded } from './native/libc.ts';
export { carryUrgentInline } from './native/linux-socket.ts';
export { plainTransport } from './plain/plain-transport.ts';
export { type RaceCandidatesOptions, raceCandidates } from './race.ts';
export { endpoint } from './socket-lane.ts';
export {
  type Connecting,
  type ConnectOptions,
  connectAny,
  connectFirst,
  describeTarget,
} from './tcp/connect.ts';
export {
  type DialStepsOptions,
  type DialTimeouts,
  dialInSteps,
  HURRIED_TIMEOUTS,
  type RunStep,
  resolveInStep,
} from './tcp/dial-steps.ts';
export { type Listening, listenEverywhere } from './tcp/listen-everywhere.ts';
export {
  ConnectionAcceptor,
  type ConnectionRefusal,
  type UnverifiedConnection,
} from './tcp/connection-acceptor.ts';
export { listenFailure } from './tcp/listen-failure.ts';
export { ListeningSocket, type ReopenDelays } from './tcp/listening-socket.ts';
export { names } from './names/names.ts';
export { handOnNoDelay } from './tcp/no-delay.ts';
export { type ReopenDelay, Reopener } from './tcp/reopener.ts';
export { ServerGroup } from './tcp/server-group.ts';
export { removeStaleSocket } from './tcp/stale-socket.ts';
export type { Timers } from './timers.ts';
export type {
  AcceptedConnection,
  HandshakeHandlers,
  TlsEngine,
} from './tls/accepted-connection.ts';
export type { TlsCredentials } from './tls/credentials.ts';
export {
  acceptedFault,
  dialFailure,
  dialledFault,
  type HandshakeFailure,
  type HandshakeFault,
  noCommonProtocol,
} from './tls/handshake-failure.ts';
export { NodeTlsEngine, type NodeTlsOptions } from './tls/node-tls-engine.ts';
export { type ChainFault, certificateIdentity, judgePeer } from './tls/peer-identity.ts';
export {
  ALPN_ENROL,
  ALPN_LANE,
  contextOptions,
  secureContext,
  TLS_PROFILE,
} from './tls/tls-context.ts';
export { type TlsLanes, tlsTransport } from './tls/tls-transport.ts';
export type {
  Transport,
  TransportAddress,
  TransportHandlers,
  TransportListener,
} from './transport.ts';
