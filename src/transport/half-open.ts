import { plainAddress } from './tls-lane.ts';

export interface HalfOpenLimits {
  /** Most connections without a finished handshake. */
  readonly halfOpen: number;
  /** The same, from one source (see `sourceOf`). */
  readonly halfOpenPerAddress: number;
}

export interface HalfOpenEntry {
  /** As by `sourceOf`. */
  readonly source: string;
  /** Past the handshake, though still without a name: it goes after those that are not. */
  readonly settled: boolean;
}

export interface Crowded<T> {
  readonly victim: T;
  /** Which limit was reached, for the log. */
  readonly reason: string;
}

/**
 * Who has not shown yet who it is, by where it comes from. Strangers cost nothing to turn up, so a
 * full house must not keep a node out: whoever holds most makes room for the newcomer.
 */
export class HalfOpen<T extends HalfOpenEntry> {
  readonly #limits: HalfOpenLimits;
  /** Each in the order of coming. */
  readonly #bySource = new Map<string, Set<T>>();
  #count = 0;

  constructor(limits: HalfOpenLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** Who has to go before somebody from `source` comes in; undefined while there is room. */
  crowded(source: string): Crowded<T> | undefined {
    const { halfOpen, halfOpenPerAddress } = this.#limits;
    const own = this.#bySource.get(source);
    if (own !== undefined && own.size >= halfOpenPerAddress) {
      const reason = `it made room: ${halfOpenPerAddress} handshakes from ${source} were under way`;
      return { victim: oldest(own), reason };
    }
    if (this.#count < halfOpen) return undefined;
    const reason = `it made room: ${halfOpen} handshakes were under way`;
    return { victim: oldest(this.#largest()), reason };
  }

  add(entry: T): void {
    const same = this.#bySource.get(entry.source);
    if (same === undefined) this.#bySource.set(entry.source, new Set([entry]));
    else same.add(entry);
    this.#count += 1;
  }

  /** Does nothing when it was removed before. */
  remove(entry: T): void {
    const same = this.#bySource.get(entry.source);
    if (same?.delete(entry) !== true) return;
    this.#count -= 1;
    if (same.size === 0) this.#bySource.delete(entry.source);
  }

  /** What the source that holds most holds; among equals the one that began first. */
  #largest(): Set<T> {
    return [...this.#bySource.values()].reduce((most, each) =>
      each.size > most.size ? each : most,
    );
  }
}

function oldest<T extends HalfOpenEntry>(entries: Set<T>): T {
  const all = [...entries];
  return all.find((entry) => !entry.settled) ?? all[0]!;
}

const HEXTETS = 8;
/** A /64 is what one customer is given: single addresses in it cost nothing. */
const NETWORK_HEXTETS = 4;

/** Who is one and the same for the limits: an IPv4 address, or the /64 of an IPv6 address. */
export function sourceOf(address: string): string {
  const plain = plainAddress(address);
  if (!plain.includes(':')) return plain;
  const [head = [], tail = []] = plain.split('::').map(hextets);
  const gap = Array.from({ length: HEXTETS - head.length - tail.length }, () => '0');
  return `${[...head, ...gap, ...tail].slice(0, NETWORK_HEXTETS).join(':')}::/64`;
}

function hextets(text: string): string[] {
  const parts = text === '' ? [] : text.split(':');
  // The last 32 bits may be written as an IPv4 address; they are not of the network.
  return parts.at(-1)?.includes('.') === true ? [...parts.slice(0, -1), '', ''] : parts;
}
