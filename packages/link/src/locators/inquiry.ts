import { errorText, type RoutyError } from '@routy/proto/base';
import { abortReason } from '../transport/deadline.ts';
import { LinkError } from '../transport/link-error.ts';
import type { Timers } from '../transport/timers.ts';
import type { AbortListeners } from './abort-listeners.ts';
import { type Candidate, checkedCandidates } from './candidate.ts';
import { nameText } from './logical-name.ts';

/** What became of one dial's question. */
export type LocatorOutcome =
  /** At least one candidate. */
  | 'answered'
  /** An answer without candidates. */
  | 'empty'
  | 'failed'
  | 'invalid'
  | 'timeout'
  /** The dial was stopped by who asked for it. */
  | 'aborted'
  /** The last locator of the kind went, and none came. */
  | 'gone';

/** What a locator is told beside the value it looks for. */
export interface LocatorContext {
  /** Fires when the answer is no longer wanted. */
  readonly signal: AbortSignal;
  /** An answer counts before this moment of the `timers` of the locators. */
  readonly deadlineMs: number;
}

/**
 * Turns one value of its kind, as the `north` of `{ cluster: 'north' }`, into candidates, the best
 * first; an empty list says that there is none now.
 */
export type Locator = (
  value: string | number,
  context: LocatorContext,
) => readonly Candidate[] | Promise<readonly Candidate[]>;

/** One locator as it was registered. */
export interface Registration {
  readonly locator: Locator;
  /** Those that wait for its answer. */
  readonly inquiries: Set<Inquiry>;
  /** Of its owner. */
  readonly signal: AbortSignal | undefined;
}

export interface InquiryOptions {
  readonly kind: string;
  readonly value: string | number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly aborts: AbortListeners;
  readonly timers: Timers;
  /** Called once, and once more with `late` when a locator answers after the deadline. */
  readonly count: (outcome: LocatorOutcome | 'late') => void;
  readonly resolve: (candidates: readonly Candidate[]) => void;
  readonly reject: (error: RoutyError) => void;
}

/** Locators that may die over one dial: more are a defect of their owner. */
const ASKED_MAX = 16;

/** One dial's question, from the first locator asked to the answer or the deadline. */
export class Inquiry {
  readonly #options: InquiryOptions;
  readonly #deadlineMs: number;
  readonly #cancelTimer: () => void;
  readonly #offAbort: (() => void) | undefined;
  /** Of the locator whose answer counts; undefined while none is asked. */
  #asking:
    | { readonly registration: Registration; readonly controller: AbortController }
    | undefined;
  #asked = 0;
  #outcome: LocatorOutcome | undefined;

  constructor(options: InquiryOptions) {
    this.#options = options;
    const { timers, timeoutMs, signal, aborts } = options;
    this.#deadlineMs = timers.now() + timeoutMs;
    this.#cancelTimer = timers.after(timeoutMs, () => this.#expire());
    if (signal !== undefined) {
      this.#offAbort = aborts.add(signal, () => this.#fail('aborted', abortReason(signal)));
    }
  }

  get over(): boolean {
    return this.#outcome !== undefined;
  }

  /** Puts the question to a locator; who was asked before is not listened to any more. */
  ask(registration: Registration): void {
    this.leave();
    this.#asked += 1;
    if (this.#asked > ASKED_MAX) {
      const text = `${ASKED_MAX} locators in turn went before they answered for ${this.#name}`;
      this.#fail('failed', new LinkError('locate-failed', text));
      return;
    }
    const { value } = this.#options;
    const controller = new AbortController();
    const asking = { registration, controller };
    this.#asking = asking;
    registration.inquiries.add(this);
    const context = { signal: controller.signal, deadlineMs: this.#deadlineMs };
    // A function that throws at once has failed as one that rejects has.
    void (async () => registration.locator(value, context))().then(
      (answer) => this.#handleAnswer(asking, () => this.#judge(answer)),
      (error: unknown) => this.#handleAnswer(asking, () => this.#handleThrow(error)),
    );
  }

  /** Its locator's owner is gone: what it still says does not count. */
  leave(): void {
    const asking = this.#asking;
    this.#asking = undefined;
    asking?.registration.inquiries.delete(this);
    asking?.controller.abort(new LinkError('dial-aborted', 'the locator was taken away'));
  }

  /** The last locator of the kind went, and none has come since. */
  handleGone(): void {
    const text = `nothing locates ${this.#name}: the owner of its locator is gone`;
    this.#fail('gone', unknownKind(this.#options.kind, text));
  }

  get #name(): string {
    return nameText(this.#options.kind, this.#options.value);
  }

  #handleAnswer(asking: object, take: () => void): void {
    if (this.#outcome === 'timeout' && this.#asking === asking) {
      this.#asking = undefined;
      this.#options.count('late');
    }
    if (this.over || this.#asking !== asking) return;
    const { timers } = this.#options;
    // The timer may have to wait for a busy event loop; the deadline does not.
    if (timers.now() >= this.#deadlineMs) {
      this.#expire();
      this.#options.count('late');
      this.#asking = undefined;
      return;
    }
    take();
  }

  #judge(answer: unknown): void {
    let checked: readonly Candidate[] | string;
    try {
      checked = checkedCandidates(answer);
    } catch (error) {
      checked = errorText(error);
    }
    if (typeof checked === 'string') {
      const text = `the locator of ${this.#name} answered rubbish: ${checked}`;
      const hint = "a locator answers with an array of { transport: 'tls', address }";
      this.#fail('invalid', new LinkError('locate-invalid', text, { hint }));
    } else if (checked.length === 0) {
      const text = `the locator of ${this.#name} knows no candidate`;
      const hint = 'check the name; nobody may be there at the moment';
      this.#fail('empty', new LinkError('locate-empty', text, { hint }));
    } else {
      this.#finish('answered');
      this.#options.resolve(checked);
    }
  }

  #handleThrow(error: unknown): void {
    const text = `the locator of ${this.#name} failed: ${errorText(error)}`;
    const hint = 'what the locator has thrown is the cause; the next attempt asks it again';
    this.#fail('failed', new LinkError('locate-failed', text, { cause: error, hint }));
  }

  #expire(): void {
    if (this.over) return;
    const { timeoutMs } = this.#options;
    const text =
      this.#asking === undefined
        ? `no locator of ${this.#name} came back within ${timeoutMs} ms`
        : `the locator of ${this.#name} did not answer within ${timeoutMs} ms`;
    const hint = 'a locator must answer before context.deadlineMs and heed context.signal';
    this.#fail('timeout', new LinkError('locate-timeout', text, { hint }));
  }

  #fail(outcome: LocatorOutcome, error: RoutyError): void {
    if (this.over) return;
    const asking = this.#asking;
    this.#finish(outcome);
    asking?.controller.abort(error);
    this.#options.reject(error);
  }

  #finish(outcome: LocatorOutcome): void {
    this.#outcome = outcome;
    this.#cancelTimer();
    this.#offAbort?.();
    this.#asking?.registration.inquiries.delete(this);
    // After a deadline it is known whose late answer is to be counted.
    if (outcome !== 'timeout') this.#asking = undefined;
    this.#options.count(outcome);
  }
}

/** That nobody answers for a kind. */
export function unknownKind(kind: string, text: string): LinkError {
  const hint = `register one first: locate(${JSON.stringify(kind)}, locator, { signal }), or dial an address`;
  return new LinkError('locate-unknown', text, { hint });
}
