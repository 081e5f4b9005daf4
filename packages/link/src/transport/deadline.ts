import { setMaxListeners } from 'node:events';
import { errorText, RoutyError } from '@routy/proto/base';
import { LinkError } from './link-error.ts';

export interface StepOptions {
  readonly ms: number;
  /** The caller's own limit or wish to stop. */
  readonly signal?: AbortSignal | undefined;
  /** Made when the time is up: it says what was being waited for. */
  readonly onTimeout: () => RoutyError;
}

/**
 * Runs one step under a deadline. `run` gets a signal and must reject with its `abortReason` soon after
 * it fires: that is the RoutyError of whatever fired first.
 */
export async function step<T>(
  options: StepOptions,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { ms, signal, onTimeout } = options;
  const controller = new AbortController();
  const follow = () => controller.abort(abortReason(signal!));
  // `run` is called even then: what it was given to own it has to dispose of.
  if (signal?.aborted) follow();
  if (signal !== undefined) onAbort(signal, follow);
  const timer = setTimeout(() => controller.abort(onTimeout()), ms);
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  }
}

/**
 * Hears of a signal once, until the listener is removed. Many may wait for the one signal of an
 * owner: what Node calls a possible leak from eleven on is none.
 */
export function onAbort(signal: AbortSignal, listener: (event: Event) => void): void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
}

/** A controller that fires when one of the signals does; `leave` takes its listeners away again. */
export function following(...parents: readonly (AbortSignal | undefined)[]): {
  readonly controller: AbortController;
  readonly leave: () => void;
} {
  const controller = new AbortController();
  // Whoever it is given to may wait for it many times.
  setMaxListeners(0, controller.signal);
  const follow = (event: Event) => controller.abort((event.target as AbortSignal).reason);
  for (const parent of parents) {
    if (parent?.aborted) controller.abort(parent.reason);
    if (parent !== undefined) onAbort(parent, follow);
  }
  const leave = () => {
    for (const parent of parents) parent?.removeEventListener('abort', follow);
  };
  return { controller, leave };
}

/** Rejects with the {@link abortReason} of `signal` when that fires first; leaves no listener behind. */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal,
  what: string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(abortReason(signal, what));
    if (signal.aborted) stop();
    onAbort(signal, stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

/**
 * Why a signal fired, as a RoutyError; `dial-aborted` when the caller gave no RoutyError. `what` was
 * going on, for people, and `hint` what could be done about that it took so long.
 */
export function abortReason(signal: AbortSignal, what = 'dialling', hint?: string): RoutyError {
  const { reason } = signal;
  if (reason instanceof RoutyError) return reason;
  const text = `${what} was stopped: ${errorText(reason)}`;
  return new LinkError('dial-aborted', text, {
    cause: reason,
    ...(hint !== undefined && { hint }),
  });
}
