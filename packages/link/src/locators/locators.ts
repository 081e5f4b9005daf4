import { abortReason } from '../transport/deadline.ts';
import { invalidArgument } from '../transport/link-error.ts';
import { realTimers, type Timers } from '../transport/timers.ts';
import { expectMs, expectObject, expectSignalOption, type KeysOf } from '../arguments/arguments.ts';
import { AbortListeners } from './abort-listeners.ts';
import type { Candidate } from './candidate.ts';
import {
  Inquiry,
  type Locator,
  type LocatorOutcome,
  type Registration,
  unknownKind,
} from './inquiry.ts';
import { isKind, kindAndValue, type LogicalName, nameText } from './logical-name.ts';

/** How long a locator may take, in ms. */
const TIMEOUT_MS = 5000;

/** How long dials wait for an owner that went to register again, in ms. */
const RETURN_MS = 1000;

/** Kinds whose counts are kept although they have no locator any more. */
export const GONE_KINDS_MAX = 1024;

/** How often each outcome was, since the first locator of the kind; `late` is told of a `timeout` too. */
export type LocatorCounts = Readonly<Record<LocatorOutcome | 'late', number>>;

/** What a table of locators may be given; all of it has defaults. */
export interface LocatorsOptions {
  /** The clock; tests have their own. */
  readonly timers?: Timers;
  /**
   * How long dials of a kind whose last locator has just gone wait for the next, so that an owner
   * that crashed can register again without a gap; 0 lets them fail at once.
   */
  readonly returnMs?: number;
  /** For a whole question that says nothing else, in ms; 5,000 by default. */
  readonly timeoutMs?: number;
}

const KEYS: KeysOf<LocatorsOptions> = { timers: true, returnMs: true, timeoutMs: true };

/** Limits of one question. */
export interface ResolveOptions {
  /** Of the dial: what it fires with is what the dial fails with. */
  readonly signal?: AbortSignal | undefined;
  /** For the whole question, however many locators are asked, in ms; as of the table when left out. */
  readonly timeoutMs?: number;
}

/** Those of one kind. */
interface Kind {
  /** In the order in which they came: the last is asked. */
  readonly registrations: Registration[];
  /** Dials that wait for a locator to come. */
  readonly waiting: Set<Inquiry>;
  /** Set while there is none. */
  cancelReturn: (() => void) | undefined;
}

/**
 * Where logical destinations are: a registry of functions, one for each kind of name. A dial that
 * asks for a name fails by what a locator does, and nothing else is harmed by it.
 *
 * A dial under way when its locator's owner dies is asked of the locator that is there then, within
 * the same deadline: a dead owner's answer may name what died with it, or never come. When a newer
 * locator only goes before an older one, the older one's answer stands: its owner lives and means it.
 */
export class Locators {
  readonly #timers: Timers;
  readonly #returnMs: number;
  readonly #timeoutMs: number;
  readonly #aborts = new AbortListeners();
  readonly #kinds = new Map<string, Kind>();
  readonly #counts = new Map<string, Record<LocatorOutcome | 'late', number>>();
  readonly #total = noCounts();
  /** Kinds with counts and without a locator, the one that went first comes first. */
  readonly #gone = new Set<string>();
  #unknown = 0;

  /** @throws LinkError `argument-invalid` */
  constructor(options: LocatorsOptions = {}) {
    expectObject('locators', options, KEYS);
    expectMs('locators.returnMs', options.returnMs);
    expectMs('locators.timeoutMs', options.timeoutMs);
    this.#timers = options.timers ?? realTimers;
    this.#returnMs = options.returnMs ?? RETURN_MS;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Registers a locator until `signal` fires, for good without one. It goes before those of its kind
   * that are registered already; when it goes, the one before it is asked again.
   *
   * @throws LinkError `argument-invalid`
   */
  locate(kind: string, locator: Locator, options: { readonly signal?: AbortSignal } = {}): void {
    if (!isKind(kind)) throw invalidArgument('kind', 'text of 1 to 256 characters', kind);
    if (typeof locator !== 'function')
      throw invalidArgument('locator', "a function, as in locate('cluster', fn)", locator);
    expectSignalOption(options);
    const { signal } = options;
    if (signal?.aborted) return;
    const registration: Registration = { locator, inquiries: new Set(), signal };
    const entry = this.#entryOf(kind);
    entry.cancelReturn?.();
    entry.cancelReturn = undefined;
    entry.registrations.push(registration);
    if (signal !== undefined) {
      this.#aborts.add(signal, () => this.#remove(kind, entry, registration));
    }
    const waiting = [...entry.waiting];
    entry.waiting.clear();
    for (const inquiry of waiting) this.#ask(entry, inquiry);
  }

  /**
   * The candidates for a name, the best first.
   *
   * @throws LinkError `locate-unknown` (no locator of the kind), `locate-timeout`, `locate-failed`
   *   (it threw), `locate-invalid` (it answered rubbish), `locate-empty` (it knows no candidate),
   *   `locate-name-invalid`, or what `signal` fired with (`dial-aborted`)
   */
  async resolve(name: LogicalName, options: ResolveOptions = {}): Promise<readonly Candidate[]> {
    const [kind, value] = kindAndValue(name);
    const { signal, timeoutMs = this.#timeoutMs } = options;
    if (signal?.aborted) throw abortReason(signal);
    const entry = this.#kinds.get(kind);
    if (entry === undefined) {
      this.#unknown += 1;
      throw unknownKind(kind, `nothing locates ${nameText(kind, value)}`);
    }
    const counts = this.#counts.get(kind)!;
    return new Promise((resolve, reject) => {
      const count = (outcome: LocatorOutcome | 'late') => {
        if (inquiry !== undefined) entry.waiting.delete(inquiry);
        counts[outcome] += 1;
        this.#total[outcome] += 1;
      };
      const timers = this.#timers;
      let inquiry: Inquiry | undefined;
      const ends = { count, resolve, reject };
      inquiry = new Inquiry({
        kind,
        value,
        timeoutMs,
        signal,
        aborts: this.#aborts,
        timers,
        ...ends,
      });
      this.#ask(entry, inquiry);
    });
  }

  /** Nobody dials any more: the signals of owners, which may live on, are let go. */
  close(): void {
    this.#aborts.clear();
    for (const { cancelReturn } of this.#kinds.values()) cancelReturn?.();
  }

  /**
   * Counts of every kind that has a locator, and of the last 1,024 that had one: kinds may be made of
   * data, and then there is no end of them. {@link total} has all.
   */
  counts(): ReadonlyMap<string, LocatorCounts> {
    return new Map([...this.#counts].map(([kind, counts]) => [kind, { ...counts }]));
  }

  /** Counts of all kinds that ever had a locator; they never fall. */
  get total(): LocatorCounts {
    return { ...this.#total };
  }

  /** Dials of kinds that had no locator. */
  get unknownCount(): number {
    return this.#unknown;
  }

  #entryOf(kind: string): Kind {
    let entry = this.#kinds.get(kind);
    if (entry === undefined) {
      entry = { registrations: [], waiting: new Set(), cancelReturn: undefined };
      this.#kinds.set(kind, entry);
      this.#gone.delete(kind);
      if (!this.#counts.has(kind)) this.#counts.set(kind, noCounts());
    }
    return entry;
  }

  #ask(entry: Kind, inquiry: Inquiry): void {
    if (inquiry.over) return;
    // An owner's locators go one after the other, in the same moment: those still here are dead too.
    const last = entry.registrations.findLast(({ signal }) => signal?.aborted !== true);
    if (last === undefined) entry.waiting.add(inquiry);
    else inquiry.ask(last);
  }

  #remove(kind: string, entry: Kind, registration: Registration): void {
    entry.registrations.splice(entry.registrations.indexOf(registration), 1);
    const inquiries = [...registration.inquiries];
    for (const inquiry of inquiries) inquiry.leave();
    if (entry.registrations.length === 0) {
      entry.cancelReturn = this.#timers.after(this.#returnMs, () => this.#forget(kind, entry));
    }
    for (const inquiry of inquiries) this.#ask(entry, inquiry);
  }

  #forget(kind: string, entry: Kind): void {
    this.#kinds.delete(kind);
    for (const inquiry of [...entry.waiting]) inquiry.handleGone();
    this.#gone.add(kind);
    if (this.#gone.size <= GONE_KINDS_MAX) return;
    const [first] = this.#gone;
    this.#gone.delete(first!);
    this.#counts.delete(first!);
  }
}

function noCounts(): Record<LocatorOutcome | 'late', number> {
  return {
    answered: 0,
    empty: 0,
    failed: 0,
    invalid: 0,
    timeout: 0,
    late: 0,
    aborted: 0,
    gone: 0,
  };
}
