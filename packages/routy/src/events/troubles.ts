import type { RoutyError } from '@routy/proto/base';
import type { Log } from '../observe/log.ts';
import { isoTime, nodeClockMs } from '../status/clock.ts';
import type { TroubleStatus } from '../status/status.ts';

/**
 * What goes wrong beside the carrying of streams: said in the log and the status for as long as it
 * lasts, and no reason to stop.
 */
export class Troubles {
  readonly #log: Log;
  readonly #nowMs: () => number;
  /** By what is in trouble, in the order they began. */
  readonly #current = new Map<string, { readonly sinceMs: number; readonly error: RoutyError }>();

  constructor(log: Log, nowMs = nodeClockMs) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** It fails, for the first time or again; `consequence` is for the log. */
  has(what: string, error: RoutyError, consequence: string): void {
    const sinceMs = this.#current.get(what)?.sinceMs ?? this.#nowMs();
    this.#current.set(what, { sinceMs, error });
    const { code, message, hint } = error;
    const fields = { what, code, reason: message, hint };
    this.#log.failure('trouble', `${message}; ${consequence}`, fields, { what, code });
  }

  /** It is well; nothing happens when it was so before. */
  over(what: string): void {
    if (!this.#current.delete(what)) return;
    this.#log.info('trouble-over', `${what}: well again`, { what });
  }

  status(): TroubleStatus[] {
    return [...this.#current].map(([what, { sinceMs, error }]) => ({
      what,
      since: isoTime(sinceMs),
      reason: error.message,
      hint: error.hint ?? null,
    }));
  }
}
