import { negotiate, notSpoken, type Offer } from '@routy/proto/session';
import type { Agreement, OpenPayload, StreamCode } from '@routy/proto/wire';
import { AbortListeners } from '../locators/abort-listeners.ts';
import { realTimers, type Timers } from '../transport/timers.ts';
import { mustBeAskable } from './askable.ts';

/** How long opens of a protocol whose last owner has just gone wait for the next, in ms. */
const RETURN_MS = 1000;

/** A protocol that this side speaks: its name, versions and optional parts. */
export interface SpokenProtocol extends Offer {
  /** 1 to 63 of a-z, 0-9, '-', not beginning or ending with '-'. */
  readonly name: string;
}

/** What a stream that a peer asks for is answered with. */
export type ProtocolAnswer<P> =
  | { readonly ok: true; readonly protocol: P; readonly picked: Agreement }
  | { readonly ok: false; readonly code: StreamCode; readonly reason: string };

/** What a table of protocols may be given; all of it has defaults. */
export interface ProtocolsOptions {
  /** The clock; tests have their own. */
  readonly timers?: Timers;
  /**
   * How long opens of a protocol whose last owner has just gone wait for the next, so that an owner
   * that crashed can register again without a gap; 0 refuses them at once.
   */
  readonly returnMs?: number;
}

type Wait<P> = (protocol: P | undefined) => void;

/** The owners of one name. */
interface Entry<P> {
  /** In the order in which they came: the last is asked. */
  readonly registrations: P[];
  /** Opens that wait for an owner to come. */
  readonly waiting: Set<Wait<P>>;
  /** Set while there is none. */
  cancelReturn: (() => void) | undefined;
}

/**
 * The protocols that this side speaks: the last owner of a name answers for it, until its signal
 * fires; then the one before it does again.
 */
export class Protocols<P extends SpokenProtocol> {
  readonly #timers: Timers;
  readonly #returnMs: number;
  readonly #aborts = new AbortListeners();
  readonly #byName = new Map<string, Entry<P>>();

  constructor(options: ProtocolsOptions = {}) {
    this.#timers = options.timers ?? realTimers;
    this.#returnMs = options.returnMs ?? RETURN_MS;
  }

  /**
   * Registers a protocol until `signal` fires, for good without one.
   *
   * @throws LinkError `argument-invalid` when a peer could not ask for it
   */
  register(protocol: P, options: { readonly signal?: AbortSignal | undefined } = {}): void {
    const { name, versions, capabilities } = protocol;
    mustBeAskable(`protocol ${name}`, { protocol: name, versions, capabilities, service: 'x' });
    const { signal } = options;
    if (signal?.aborted) return;
    const entry = this.#entryOf(name);
    entry.cancelReturn?.();
    entry.cancelReturn = undefined;
    entry.registrations.push(protocol);
    if (signal !== undefined) {
      this.#aborts.add(signal, () => this.#remove(name, entry, protocol));
    }
    for (const go of [...entry.waiting]) go(protocol);
  }

  /**
   * Answers a request: at once, or later where an owner may come back. The result gives up waiting.
   */
  answer(request: OpenPayload, done: (answer: ProtocolAnswer<P>) => void): () => void {
    const entry = this.#byName.get(request.protocol);
    const protocol = entry?.registrations.at(-1);
    if (entry === undefined || protocol !== undefined) {
      done(answerWith(request, protocol));
      return () => undefined;
    }
    const wait: Wait<P> = (found) => {
      entry.waiting.delete(wait);
      done(answerWith(request, found));
    };
    entry.waiting.add(wait);
    return () => void entry.waiting.delete(wait);
  }

  /** Nobody asks any more: the signals of owners, which may live on, are let go. */
  close(): void {
    this.#aborts.clear();
    for (const { cancelReturn } of this.#byName.values()) cancelReturn?.();
  }

  #entryOf(name: string): Entry<P> {
    let entry = this.#byName.get(name);
    if (entry === undefined) {
      entry = { registrations: [], waiting: new Set(), cancelReturn: undefined };
      this.#byName.set(name, entry);
    }
    return entry;
  }

  #remove(name: string, entry: Entry<P>, protocol: P): void {
    entry.registrations.splice(entry.registrations.lastIndexOf(protocol), 1);
    if (entry.registrations.length > 0) return;
    const forget = () => {
      this.#byName.delete(name);
      for (const go of [...entry.waiting]) go(undefined);
    };
    if (this.#returnMs === 0) forget();
    else entry.cancelReturn = this.#timers.after(this.#returnMs, forget);
  }
}

function answerWith<P extends SpokenProtocol>(
  request: OpenPayload,
  protocol: P | undefined,
): ProtocolAnswer<P> {
  const { protocol: name } = request;
  if (protocol === undefined) {
    return { ok: false, code: 'unsupported-protocol', reason: `there is no protocol ${name}` };
  }
  const picked = negotiate(request, protocol);
  if (picked !== undefined) return { ok: true, protocol, picked };
  const reason = notSpoken(name, request, protocol);
  return { ok: false, code: 'unsupported-version', reason };
}
