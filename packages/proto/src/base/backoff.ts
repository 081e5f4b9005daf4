/**
 * `network`: the peer could not be reached or the lane was lost; it may be back any moment.
 * `shortage`: this machine or the peer is short of something. `refusal`: somebody said no, or will
 * never be able to say yes. The last two gain nothing from being asked again soon.
 */
export type FailureClass = 'network' | 'shortage' | 'refusal';

/** Delay before the second retry at most, doubled from there to the cap. */
export const BACKOFF_BASE_MS = 100;

/**
 * Longest delay while the network is at fault. Below one second because a dialler must be back
 * within one second of the path's return, and that second also holds the handshake.
 */
export const NETWORK_CAP_MS = 800;

/** Longest delay after a refusal or a shortage. */
export const REFUSAL_CAP_MS = 10_000;

export interface BackoffInput {
  /** Consecutive failures before this delay, from 0: the retry after a lost lane is attempt 0. */
  readonly attempt: number;
  /** Uniform in [0, 1). */
  readonly random01: number;
  readonly baseMs?: number;
  readonly capMs?: number;
}

/**
 * How long to wait before dialling again, in ms. Attempt 0 goes at once; from then on "full
 * jitter": uniform between 0 and min(cap, base x 2^(attempt - 1)). Source: AWS Architecture Blog,
 * "Exponential Backoff and Jitter" (M. Brooker, 2015).
 */
export function nextDelayMs(input: BackoffInput): number {
  const { attempt, random01, baseMs = BACKOFF_BASE_MS, capMs = REFUSAL_CAP_MS } = input;
  if (attempt <= 0) return 0;
  // The exponent is limited so that an attempt count of years stays a finite number.
  const ceilingMs = Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 40));
  return Math.floor(random01 * ceilingMs);
}

/** The cap for {@link nextDelayMs} after a failure with this RoutyError or system error code. */
export function backoffCapMs(code: string | undefined): number {
  return classifyFailure(code) === 'network' ? NETWORK_CAP_MS : REFUSAL_CAP_MS;
}

/** Which kind of failure a RoutyError code, lane code or system error code is. */
export function classifyFailure(code: string | undefined): FailureClass {
  if (code === undefined) return 'refusal';
  if (NETWORK_CODES.has(code)) return 'network';
  // What is listed nowhere is taken for a refusal: an unknown reason is no reason to hurry.
  return SHORTAGE_CODES.has(code) ? 'shortage' : 'refusal';
}

const NETWORK_CODES: ReadonlySet<string> = new Set([
  'dial-timeout',
  'dial-refused',
  'dial-unreachable',
  'dial-resolve',
  'dial-failed',
  'dial-aborted',
  // Hung up in the middle of the handshake: a peer or a path that is just coming up.
  'tls-closed',
  'lane-closed',
  'lane-failed',
  'lane-lost',
  'lane-reset',
  'lane-timeout',
  'lane-unreachable',
  'heartbeat-timeout',
  'handshake-timeout',
  // A stream that went with its session: the peer, or another node, is dialled anew.
  'session-lost',
  'connection-reset',
  // A peer that goes down in order comes back soon: a restart.
  'draining',
  'shutdown',
  'normal',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

const SHORTAGE_CODES: ReadonlySet<string> = new Set([
  'dial-exhausted',
  'overload',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRNOTAVAIL',
]);
