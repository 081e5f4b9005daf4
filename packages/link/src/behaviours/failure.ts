import { classifyFailure, errorText, type FailureClass, RoutyError } from '@routy/proto/base';
import { onAbort } from '../transport/deadline.ts';

/** Why a conversation ended, or tries again, or a call of it failed. */
export type ConversationErrorCode =
  | 'conversation-callback'
  | 'conversation-open'
  | 'conversation-lost'
  | 'conversation-closed'
  | 'conversation-stopped'
  | 'message-refused'
  | 'call-timeout';

/** A RoutyError of a conversation: the compiler knows its codes. `cause` is what was thrown. */
export class ConversationError extends RoutyError {
  /** Stable, for programs to match on. */
  declare readonly code: ConversationErrorCode;

  /** Takes no other code. */
  constructor(code: ConversationErrorCode, message: string, cause?: unknown) {
    const hint = cause instanceof RoutyError ? cause.hint : undefined;
    super(code, message, { cause, ...(hint !== undefined && { hint }) });
    this.name = 'ConversationError';
  }
}

/** What was thrown, as a failure of the conversation. */
export function failureOf(code: ConversationErrorCode, error: unknown): ConversationError {
  if (error instanceof ConversationError) return error;
  return new ConversationError(code, errorText(error), error);
}

/**
 * What a retry is for. `network`: the peer cannot be reached, or was lost. `shortage`: one of the two is
 * short of something. `refusal`: somebody said no. `draining`: the peer has said that it stops in order.
 */
export type RetryKind = FailureClass | 'draining';

/** What a failure is, by the code of its cause. */
export function retryKind(failure: ConversationError): RetryKind {
  const code = causeCode(failure);
  return code === 'draining' ? code : classifyFailure(code);
}

/** The code to choose the back-off by: that of the cause, if it has one. */
function causeCode({ cause, code }: ConversationError): string {
  const own = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (typeof own === 'string') return own;
  // An open that fails for an unknown reason is no reason to hurry; a lost channel may be back.
  return code === 'conversation-open' ? code : 'lane-lost';
}

/**
 * Runs a callback of the owner: what it throws becomes a failure with its name. After `signal` has
 * fired it is the reason of that: a callback that was interrupted may throw what it likes.
 */
export async function guarded<T>(
  name: string,
  signal: AbortSignal,
  run: () => T | Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (signal.aborted) throw signal.reason as Error;
    throw new ConversationError('conversation-callback', `${name}: ${errorText(error)}`, error);
  }
}

/** Rejects with the reason of `signal` when that fires first; leaves no listener behind. */
export function raced<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    onAbort(signal, stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
