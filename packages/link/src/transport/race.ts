import { errorText, type RoutyError } from '@routy/proto/base';
import { abortReason, onAbort } from './deadline.ts';
import { LinkError } from './link-error.ts';
import { realTimers, type Timers } from './timers.ts';

/** Before the next of several candidates is tried too (RFC 8305 §5), in ms. */
export const NEXT_CANDIDATE_MS = 250;

/** Most attempts at once. */
const ATTEMPTS_MAX = 8;

export interface RaceOptions<C, T> {
  /** The one that is tried first comes first. */
  readonly candidates: readonly C[];
  /** Begins one attempt, which answers later and once; the result stops it. */
  readonly start: (candidate: C, attempt: AttemptOutcome<T>) => () => void;
  /** What came too late to win. */
  readonly discard: (value: T) => void;
  /** One error for all failures, in the order in which they came. */
  readonly combine: (failures: readonly unknown[]) => RoutyError;
  /** Before the next candidate is tried beside those before it. */
  readonly delayMs: number;
  /** Before one that has not answered is tried again beside its first attempt; never when left out. */
  readonly againMs?: number | undefined;
  readonly signal: AbortSignal;
  readonly timers?: Timers | undefined;
}

export interface AttemptOutcome<T> {
  readonly won: (value: T) => void;
  readonly failed: (error: unknown) => void;
}

/** Several attempts side by side as RFC 8305 has them: those before stay in the race. */
export class Race<C, T> {
  readonly #options: RaceOptions<C, T>;
  readonly #timers: Timers;
  readonly #resolve: (value: T, winner: C) => void;
  readonly #reject: (error: RoutyError) => void;
  readonly #attempts = new Set<{ stop: () => void }>();
  readonly #failures = new Map<C, unknown>();
  readonly #stop = () => this.#lose(abortReason(this.#options.signal));
  readonly #untried: C[];
  #cancelTimer: (() => void) | undefined;
  #over = false;

  constructor(
    options: RaceOptions<C, T>,
    resolve: (value: T, winner: C) => void,
    reject: (error: RoutyError) => void,
  ) {
    this.#options = options;
    this.#timers = options.timers ?? realTimers;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#untried = [...options.candidates];
  }

  run(): void {
    const { signal, combine } = this.#options;
    if (signal.aborted) {
      this.#stop();
    } else if (this.#untried.length === 0) {
      this.#lose(combine([]));
    } else {
      onAbort(signal, this.#stop);
      this.#tryNext();
    }
  }

  /** Starts one more attempt and sets the timer for the one after. */
  #tryNext(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { delayMs, againMs } = this.#options;
    // With many candidates the first attempts make room: by now they have waited for long.
    if (this.#untried.length > 0 && this.#attempts.size >= ATTEMPTS_MAX) this.#dropOldest();
    const candidate = this.#untried.shift() ?? this.#unanswered();
    if (candidate !== undefined && this.#attempts.size < ATTEMPTS_MAX) this.#attempt(candidate);
    const ms = this.#untried.length > 0 ? delayMs : againMs;
    if (ms !== undefined) this.#cancelTimer = this.#timers.after(ms, () => this.#tryNext());
  }

  #dropOldest(): void {
    const [oldest] = this.#attempts;
    this.#attempts.delete(oldest!);
    oldest!.stop();
  }

  /** The candidate that has waited longest for an answer. */
  #unanswered(): C | undefined {
    const { candidates } = this.#options;
    const waiting = candidates.filter((candidate) => !this.#failures.has(candidate));
    return waiting[this.#attempts.size % Math.max(1, waiting.length)];
  }

  #attempt(candidate: C): void {
    const attempt = { stop: () => {} };
    this.#attempts.add(attempt);
    attempt.stop = this.#options.start(candidate, {
      won: (value) => this.#win(attempt, value, candidate),
      failed: (error) => this.#handleFailure(attempt, candidate, error),
    });
  }

  #handleFailure(attempt: { stop: () => void }, candidate: C, error: unknown): void {
    if (!this.#attempts.delete(attempt) || this.#over) return;
    this.#failures.set(candidate, error);
    if (this.#untried.length > 0) this.#tryNext();
    else if (this.#attempts.size === 0) {
      this.#lose(this.#options.combine([...this.#failures.values()]));
    }
  }

  #win(attempt: { stop: () => void }, value: T, winner: C): void {
    if (!this.#attempts.delete(attempt) || this.#over) {
      this.#options.discard(value);
      return;
    }
    this.#finish();
    this.#resolve(value, winner);
  }

  #lose(error: RoutyError): void {
    if (this.#over) return;
    this.#finish();
    this.#reject(error);
  }

  #finish(): void {
    this.#over = true;
    this.#cancelTimer?.();
    this.#options.signal.removeEventListener('abort', this.#stop);
    for (const { stop } of this.#attempts) stop();
    this.#attempts.clear();
  }
}

/** How candidates race (RFC 8305, section 5). */
export interface RaceCandidatesOptions<T> {
  /** Gives up all attempts. */
  readonly signal: AbortSignal;
  /** Disposes of what was made by an attempt that did not win. */
  readonly discard: (value: T) => void;
  /** Before the next candidate is tried beside those before it; RFC 8305's 250 ms when left out. */
  readonly delayMs?: number | undefined;
  /** The clock; tests have their own. */
  readonly timers?: Timers | undefined;
}

/**
 * What the first candidate that answers leads to, whatever transport each is of: `attempt` makes it
 * and has a signal that fires when it is no longer wanted. A failure starts the next at once.
 *
 * @throws what the only attempt failed with; for several a LinkError with the code of the first;
 *   `dial-failed` when there was no candidate; or what `signal` fired with
 */
export function raceCandidates<C, T>(
  candidates: readonly C[],
  attempt: (candidate: C, signal: AbortSignal) => Promise<T>,
  options: RaceCandidatesOptions<T>,
): Promise<T> {
  const { signal, discard, delayMs = NEXT_CANDIDATE_MS, timers } = options;
  const start = (candidate: C, { won, failed }: AttemptOutcome<T>) => {
    const controller = new AbortController();
    // A function that throws at once has failed as one that rejects has.
    void (async () => attempt(candidate, controller.signal))().then(won, failed);
    return () => controller.abort(new LinkError('dial-aborted', 'this attempt is not needed'));
  };
  const settings = { candidates, start, discard, combine, delayMs, signal, timers };
  return new Promise((resolve, reject) => new Race(settings, resolve, reject).run());
}

function combine(failures: readonly unknown[]): RoutyError {
  const [first] = failures;
  if (failures.length === 1 && first instanceof LinkError) return first;
  if (failures.length === 0) {
    return new LinkError('dial-failed', 'there is no candidate to be tried', {
      hint: 'give at least one address',
    });
  }
  const text = `no candidate answered: ${failures.map(errorText).join('; ')}`;
  const known = first instanceof LinkError ? first : undefined;
  return new LinkError(known?.code ?? 'dial-failed', text, {
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
    cause: first,
  });
}
