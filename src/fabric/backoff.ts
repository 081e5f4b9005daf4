/**
 * `network`: the peer could not be reached or the lane was lost; it may be back any moment.
 * `refusal`: somebody said no, or this machine is short of something; asking again soon is no use.
 */
export type FailureClass = 'network' | 'refusal';

/** Delay before the second retry at most, doubled from there to the cap. */
export const BACKOFF_BASE_MS = 100;

/**
 * Longest delay while the network is at fault. Below one second because a dialler must be back
 * within one second of the path's return, and that second also holds the handshake.
 */
export const NETWORK_CAP_MS = 800;

/** Longest delay after a refusal or a lack of resources here or there. */
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
  return code !== undefined && NETWORK_CODES.has(code) ? 'network' : 'refusal';
}

// What is not listed is taken for a refusal: an unknown reason is no reason to dial every second.
const NETWORK_CODES: ReadonlySet<string> = new Set([
  'lane-lost',
  'heartbeat-timeout',
  'handshake-timeout',
  'dial-timeout',
  'dial-failed',
  'dial-refused',
  'dial-unreachable',
  // A peer that goes down in order comes back soon: a restart.
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
