import { errorText, invariant, RoutyError, type TcpAddress } from '@routy/proto/base';
import type { Lane } from '../transport/lane.ts';
import { LinkError } from '../transport/link-error.ts';
import { realTimers, type Timers } from '../transport/timers.ts';

/**
 * `down`: not started or stopped. `dialling`: until the new lane is established in its session.
 * `backoff` and `refused`: waiting for the next attempt, after a failure or after a no.
 */
export type DialState = 'down' | 'dialling' | 'up' | 'backoff' | 'refused';

/** How the dialling of one lane stands; `A`: what an address is. */
export interface DialStatus<A = TcpAddress> {
  /** What it does at the moment. */
  readonly state: DialState;
  /** When the state began, as `timers.now()` says. */
  readonly since: number;
  /** Consecutive failed rounds over all addresses. */
  readonly attempts: number;
  /** Why the last round failed or the last lane ended; undefined while up. */
  readonly lastError: RoutyError | undefined;
  /** When it dials again, as `timers.now()` says; undefined unless it waits. */
  readonly nextAttemptAt: number | undefined;
  /** The one dialled now or next. */
  readonly address: A;
}

export interface DialSchedulerOptions<A = TcpAddress> {
  /** At least one; tried in turn, beginning with the one that worked last. */
  readonly addresses: readonly A[];
  /**
   * Rejects with a RoutyError; stops soon after `signal` fires. `hurried` when another address is
   * worth trying soon: none was slow to answer so far.
   */
  dial(address: A, signal: AbortSignal, hurried: boolean): Promise<Lane>;
  /**
   * Delay before the next round, in ms, after `attempt` failures in a row; attempt 0 is the retry
   * after a lane that had been established.
   */
  nextDelayMs(attempt: number, error: RoutyError | undefined): number;
  /** True when the peer or its policy said no, so that the state is `refused` while waiting. */
  isRefusal(error: RoutyError): boolean;
  /** The lane is the caller's, who answers with `established` and, in the end, `laneClosed`. */
  onLane(lane: Lane, address: A): void;
  /** After every change of state. */
  onState?(status: DialStatus<A>): void;
  readonly timers?: Timers;
  /** A lane that was established for so long counts as having worked, in ms. */
  readonly stableMs?: number;
}

const STABLE_MS = 10_000;

/**
 * Keeps one lane of a peer dialled: at once, then after `nextDelayMs`, for ever. That a lane came
 * up proves little (a peer may refuse right after the handshake), so only `established` ends a
 * series of failures; and lanes that keep dying young are a series too.
 */
export class DialScheduler<A = TcpAddress> {
  readonly #options: DialSchedulerOptions<A>;
  readonly #timers: Timers;
  #state: DialState = 'down';
  #since: number;
  #attempts = 0;
  /** Established lanes in a row that ended before `stableMs`. */
  #shortLived = 0;
  /** It waits because of them. */
  #holdsBack = false;
  #lastError: RoutyError | undefined;
  #nextAttemptAt: number | undefined;
  /** Into `addresses`. */
  #index = 0;
  /** Why each address of this round failed. */
  #roundErrors: RoutyError[] = [];
  #cancelTimer: (() => void) | undefined;
  #dialling: AbortController | undefined;
  /** A lane was handed out and `laneClosed` has not come yet. */
  #hasLane = false;

  constructor(options: DialSchedulerOptions<A>) {
    invariant(options.addresses.length > 0, 'a peer has at least one address');
    this.#options = options;
    this.#timers = options.timers ?? realTimers;
    this.#since = this.#timers.now();
  }

  get status(): DialStatus<A> {
    return {
      state: this.#state,
      since: this.#since,
      attempts: this.#attempts,
      lastError: this.#lastError,
      nextAttemptAt: this.#nextAttemptAt,
      address: this.#address,
    };
  }

  /** Dials at once, unless started already; the failures before a `stop` are forgotten. */
  start(): void {
    if (this.#state === 'down') this.restart();
  }

  /**
   * Stops dialling until `start`. A lane that was handed out is the caller's to close, without a
   * word here: `laneClosed` would be taken for the end of the lane dialled after it.
   */
  stop(): void {
    this.#cancelWait();
    if (this.#state === 'up') this.#noteDuration();
    this.#dialling?.abort(new LinkError('dial-aborted', 'dialling was stopped'));
    this.#dialling = undefined;
    this.#hasLane = false;
    this.#roundErrors = [];
    this.#enter('down');
  }

  /** Takes a lane that somebody else dialled, in place of the one it waits for or dials. */
  adopt(lane: Lane): void {
    this.#cancelWait();
    this.#dialling?.abort(new LinkError('dial-aborted', 'another lane was found'));
    this.#dialling = undefined;
    this.#hasLane = true;
    this.#enter('dialling');
    this.#options.onLane(lane, this.#address);
  }

  /** Dials now instead of at the end of the delay; nothing else changes. */
  wake(): void {
    if (this.#state === 'backoff' || this.#state === 'refused') this.#dial();
  }

  /**
   * Forgets failures and dials now, for an established session that was lost: what kept its lanes
   * from coming back need not keep the next session away. Nothing happens while a lane is dialled
   * or handed out, nor while it waits because established lanes keep dying young: dialling those
   * at once would be a loop.
   */
  restart(): void {
    if (this.#state === 'dialling' || this.#state === 'up' || this.#holdsBack) return;
    this.#attempts = 0;
    this.#lastError = undefined;
    this.#roundErrors = [];
    this.#dial();
  }

  /** The lane is established in its session: the failures before it are history. */
  established(): void {
    if (!this.#hasLane || this.#state === 'up') return;
    this.#attempts = 0;
    this.#lastError = undefined;
    this.#roundErrors = [];
    this.#enter('up');
  }

  /** The lane from `onLane` is gone, or its session was refused. */
  laneClosed(error?: RoutyError): void {
    if (!this.#hasLane) return;
    this.#hasLane = false;
    if (this.#state !== 'up') {
      this.#handleFailure(error ?? neverEstablished());
      return;
    }
    this.#noteDuration();
    this.#lastError = error;
    this.#holdsBack = this.#shortLived > 0;
    this.#wait(this.#options.nextDelayMs(this.#shortLived, error), error);
    this.#shortLived += 1;
  }

  /** The lane that is up ends now. */
  #noteDuration(): void {
    const lastedMs = this.#timers.now() - this.#since;
    if (lastedMs >= (this.#options.stableMs ?? STABLE_MS)) this.#shortLived = 0;
  }

  get #address(): A {
    return this.#options.addresses[this.#index]!;
  }

  #dial(): void {
    this.#cancelWait();
    const controller = new AbortController();
    const address = this.#address;
    this.#dialling = controller;
    this.#enter('dialling');
    // Once a whole round has failed the paths may be slow rather than gone: then each gets its time.
    const hurried = this.#options.addresses.length > 1 && this.#attempts === 0;
    this.#options.dial(address, controller.signal, hurried).then(
      (lane) => this.#handleLane(lane, address, controller),
      (error: unknown) => this.#handleDialError(error, controller),
    );
  }

  #handleLane(lane: Lane, address: A, dialling: AbortController): void {
    if (this.#dialling !== dialling) {
      lane.destroy();
      return;
    }
    this.#dialling = undefined;
    this.#hasLane = true;
    this.#options.onLane(lane, address);
  }

  #handleDialError(error: unknown, dialling: AbortController): void {
    if (this.#dialling !== dialling) return;
    this.#dialling = undefined;
    const known =
      error instanceof RoutyError
        ? error
        : new LinkError('dial-failed', errorText(error), { cause: error });
    this.#handleFailure(known);
  }

  #handleFailure(error: RoutyError): void {
    const { addresses } = this.#options;
    this.#roundErrors.push(error);
    this.#index = (this.#index + 1) % addresses.length;
    // Out of descriptors here: the other addresses would fail the same way.
    if (this.#roundErrors.length < addresses.length && error.code !== 'dial-exhausted') {
      this.#lastError = error;
      this.#dial();
      return;
    }
    this.#attempts += 1;
    const combined = summary(this.#roundErrors);
    this.#roundErrors = [];
    this.#lastError = combined;
    this.#wait(this.#options.nextDelayMs(this.#attempts, combined), combined);
  }

  #wait(delayMs: number, error: RoutyError | undefined): void {
    this.#nextAttemptAt = this.#timers.now() + delayMs;
    this.#cancelTimer = this.#timers.after(delayMs, () => this.#dial());
    const refused = error !== undefined && this.#options.isRefusal(error);
    this.#enter(refused ? 'refused' : 'backoff');
  }

  #cancelWait(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#nextAttemptAt = undefined;
    this.#holdsBack = false;
  }

  #enter(state: DialState): void {
    if (this.#state !== state) this.#since = this.#timers.now();
    this.#state = state;
    this.#options.onState?.(this.status);
  }
}

/** One error for a round: the last one's code and hint, everybody's words. */
function summary(errors: readonly RoutyError[]): RoutyError {
  const last = errors[errors.length - 1]!;
  if (errors.length === 1) return last;
  const text = errors.map((error) => error.message).join('; ');
  return new RoutyError(last.code, text, {
    ...(last.hint === undefined ? {} : { hint: last.hint }),
    cause: last,
  });
}

function neverEstablished(): RoutyError {
  return new LinkError('lane-closed', 'the lane was closed before a session was established');
}
