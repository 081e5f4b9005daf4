import { InvariantError } from '../base/errors.ts';
import type { LaneCode } from '../wire/codes.ts';
import { ProtocolError } from '../wire/protocol-error.ts';

/** Why a lane or session cannot go on. */
export interface Failure {
  readonly code: LaneCode;
  readonly reason: string;
  /** It is this side's: no lane of the session may carry anything any more. */
  readonly isDefect: boolean;
}

/**
 * What a caught error means for a session. Anything but what the peer may not send and what must not
 * be true here is thrown on.
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof ProtocolError) {
    const reason = `${error.code}: ${error.message}`;
    return { code: error.laneCode, reason, isDefect: false };
  }
  if (!(error instanceof InvariantError)) throw error;
  return { code: 'internal', reason: error.message, isDefect: true };
}
