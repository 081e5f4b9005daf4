import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import { abortReason, onAbort } from '../deadline.ts';
import { resolveFailure, systemCode } from '../failures.ts';
import { alternatingFamilies } from './families.ts';
import { HostsFile } from './hosts-file.ts';

/** What the operating system is asked: getaddrinfo, whose answer is in the order to be tried. */
export type Lookup = (host: string) => Promise<readonly { address: string; family: number }[]>;

export interface NamesOptions {
  readonly lookup?: Lookup;
  /** What needs no lookup. */
  readonly hosts?: Pick<HostsFile, 'addressesOf'>;
  readonly nowMs?: () => number;
}

/**
 * Lookups at once. getaddrinfo cannot be stopped and holds a thread of libuv until its name servers
 * have answered or it gives up, after 10 s and more; libuv gives it half of its threads, two.
 */
const LOOKUPS_MAX = 2;

/** A lookup that takes longer is slow, and slow names have one turn at a time together, in ms. */
export const SLOW_MS = 1000;

/** How long an answer may be used again when there is no new one, in ms. */
const STALE_MAX_MS = 60 * 60_000;

/** How long a lookup may take before the last answer is used, in ms. */
export const STALE_AFTER_MS = 500;

/** Names whose last answer is remembered. */
const KNOWN_MAX = 256;

interface Known {
  addresses: string[] | undefined;
  answeredAtMs: number;
  slow: boolean;
}

/** One lookup, waiting for its turn or under way; all who ask for the name meanwhile share it. */
interface Asked {
  readonly host: string;
  readonly waiters: Set<Waiter>;
  /** Undefined while it waits for its turn. */
  startedAtMs: number | undefined;
}

interface Waiter {
  resolve(addresses: string[]): void;
  reject(error: unknown): void;
}

/**
 * Names of peers, proxies and targets to IP addresses. A name that nobody answers for must not keep
 * others from being looked up: a name is looked up once however many ask, few are at the same time,
 * and those that were slow wait for each other and for nobody else.
 */
export class Names {
  readonly #lookup: Lookup;
  readonly #hosts: Pick<HostsFile, 'addressesOf'>;
  readonly #nowMs: () => number;
  readonly #asked = new Map<string, Asked>();
  /** The least recently asked first. */
  readonly #known = new Map<string, Known>();
  #running = 0;

  constructor(options: NamesOptions = {}) {
    this.#lookup = options.lookup ?? ((host) => systemLookup(host, { all: true, verbatim: true }));
    this.#hosts = options.hosts ?? new HostsFile();
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /**
   * The IP addresses of a host, families alternating (RFC 8305 §4); a literal is itself. When the
   * name servers do not answer soon, those of the last answer, if there was one in the last hour.
   *
   * @throws RoutyError `dial-resolve`, `dial-exhausted`, or what `signal` fired with
   */
  resolve(host: string, signal: AbortSignal): Promise<string[]> {
    if (isIP(host) !== 0) return Promise.resolve([host]);
    const local = this.#hosts.addressesOf(host);
    if (local !== undefined) return Promise.resolve(alternating(local));
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(abortReason(signal));
      const asked = this.#ask(host);
      const done = () => {
        asked.waiters.delete(waiter);
        clearTimeout(timer);
        signal.removeEventListener('abort', stop);
      };
      const waiter: Waiter = {
        resolve(addresses) {
          done();
          resolve(addresses);
        },
        reject(error) {
          done();
          reject(error);
        },
      };
      const stop = () => {
        waiter.reject(abortReason(signal));
        this.#dropIfUnwanted(asked);
      };
      const useStale = () => {
        const addresses = this.#lastAnswer(host);
        if (addresses !== undefined) waiter.resolve(addresses);
      };
      const timer = setTimeout(useStale, STALE_AFTER_MS);
      asked.waiters.add(waiter);
      onAbort(signal, stop);
    });
  }

  #ask(host: string): Asked {
    let asked = this.#asked.get(host);
    if (asked === undefined) {
      asked = { host, waiters: new Set(), startedAtMs: undefined };
      this.#asked.set(host, asked);
      // Not now: who asks is not among the waiters yet.
      queueMicrotask(() => this.#startNext());
    }
    return asked;
  }

  /** A lookup that has not begun is left out when nobody waits for it any more. */
  #dropIfUnwanted(asked: Asked): void {
    if (asked.startedAtMs === undefined && asked.waiters.size === 0) this.#asked.delete(asked.host);
  }

  #startNext(): void {
    let slow = false;
    for (const asked of this.#asked.values()) {
      if (asked.startedAtMs !== undefined && this.#isSlow(asked)) slow = true;
    }
    for (const asked of this.#asked.values()) {
      if (this.#running >= LOOKUPS_MAX) return;
      if (asked.startedAtMs !== undefined) continue;
      const isSlow = this.#known.get(asked.host)?.slow === true;
      if (isSlow && slow) continue;
      slow ||= isSlow;
      void this.#run(asked);
    }
  }

  #isSlow({ host, startedAtMs }: Asked): boolean {
    if (this.#known.get(host)?.slow === true) return true;
    return startedAtMs !== undefined && this.#nowMs() - startedAtMs > SLOW_MS;
  }

  async #run(asked: Asked): Promise<void> {
    const { host } = asked;
    asked.startedAtMs = this.#nowMs();
    this.#running += 1;
    try {
      const found = await this.#lookup(host);
      const addresses = alternating(found.map(({ address }) => address));
      this.#note(asked, addresses);
      for (const waiter of [...asked.waiters]) waiter.resolve(addresses);
    } catch (error) {
      // Only a name server can say that there is no such name; it then is the last word.
      const stale = systemCode(error) === 'ENOTFOUND' ? undefined : this.#lastAnswer(host);
      this.#note(asked, stale, true);
      for (const waiter of [...asked.waiters]) {
        if (stale === undefined) waiter.reject(resolveFailure(host, error));
        else waiter.resolve(stale);
      }
    } finally {
      this.#running -= 1;
      this.#asked.delete(host);
      this.#startNext();
    }
  }

  #lastAnswer(host: string): string[] | undefined {
    const known = this.#known.get(host);
    if (known === undefined || this.#nowMs() - known.answeredAtMs > STALE_MAX_MS) return undefined;
    return known.addresses;
  }

  #note({ host, startedAtMs }: Asked, addresses: string[] | undefined, failed = false): void {
    const nowMs = this.#nowMs();
    const before = this.#known.get(host);
    this.#known.delete(host);
    this.#known.set(host, {
      addresses,
      answeredAtMs: failed ? (before?.answeredAtMs ?? nowMs) : nowMs,
      slow: nowMs - startedAtMs! > SLOW_MS,
    });
    if (this.#known.size <= KNOWN_MAX) return;
    const [oldest] = this.#known.keys();
    this.#known.delete(oldest!);
  }
}

function alternating(addresses: readonly string[]): string[] {
  return alternatingFamilies(addresses, isIP);
}

/** Of this process: its threads are shared by all who ask. */
export const names = new Names();
