/** Why a lane or session was closed: carried by CLOSE, matched on in logs and status. */
export const LANE_CODES = {
  normal: 0,
  shutdown: 1,
  'protocol-error': 2,
  'version-mismatch': 3,
  'settings-mismatch': 4,
  'identity-mismatch': 5,
  'not-authorized': 6,
  'stale-epoch': 7,
  'taken-over': 8,
  'heartbeat-timeout': 9,
  'handshake-timeout': 10,
  overload: 11,
  'lane-lost': 12,
  internal: 13,
  /** The proof is for a session the acceptor does not hold. */
  'unknown-session': 14,
  /** Ends one lane; the session goes on. */
  'lane-done': 15,
  /** No lane came back in time. Sent only on lanes that were not answered yet. */
  'resume-timeout': 16,
} as const;

/** The name of a reason for which a lane or its session ends; a key of `LANE_CODES`. */
export type LaneCode = keyof typeof LANE_CODES;

/** Why a stream was refused or reset: carried by RESET. */
export const STREAM_CODES = {
  cancelled: 0,
  'target-refused': 1,
  'target-timeout': 2,
  'target-unreachable': 3,
  'unknown-service': 4,
  'not-allowed': 5,
  'unsupported-protocol': 6,
  overload: 7,
  draining: 8,
  'connection-reset': 9,
  'session-lost': 10,
  internal: 11,
  /** A RESUME record and this side's own counts of the stream exclude each other. */
  'resume-mismatch': 12,
  /** The target's host name: no name server answered for it in time. */
  'name-timeout': 13,
  /** The target's host name: there is no such name. */
  'name-unknown': 14,
  /** There is such a protocol, and no version of it that both ends speak. */
  'unsupported-version': 15,
} as const;

/** The name of a reason for which a stream is refused or reset; a key of `STREAM_CODES`. */
export type StreamCode = keyof typeof STREAM_CODES;

const LANE_NAMES = new Map(Object.entries(LANE_CODES).map(([name, code]) => [code, name]));
const STREAM_NAMES = new Map(Object.entries(STREAM_CODES).map(([name, code]) => [code, name]));

/** The name of a lane code; `internal` for one this version does not know. */
export function laneCodeName(code: number): LaneCode {
  return (LANE_NAMES.get(code as 0) ?? 'internal') as LaneCode;
}

/** The name of a stream code; `internal` for one this version does not know. */
export function streamCodeName(code: number): StreamCode {
  return (STREAM_NAMES.get(code as 0) ?? 'internal') as StreamCode;
}
