import { plainAddress } from '../socket-lane.ts';

export interface HalfOpenLimits {
  /** Most handshakes under way at once, and what has shown no name after its handshake. */
  readonly halfOpen: number;
  /** The same, from one source (see `sourceOf`). */
  readonly halfOpenPerAddress: number;
  /** Most connections whose handshake has not begun: silent ones, and those that wait. */
  readonly waiting: number;
  /** The same, from one source. */
  readonly waitingPerAddress: number;
}

/** How long a handshake keeps its place while others wait, in ms: a round trip, on busy machines. */
export const HANDSHAKE_PATIENCE_MS = 3000;
/** The same once somebody has waited for longer than that: more than they can be is coming. */
export const CROWDED_PATIENCE_MS = 1500;
/** The same for whoever is past the handshake, though still without a name. */
export const NAMELESS_PATIENCE_MS = 3000;

export interface HalfOpenEntry {
  /** As by `sourceOf`. */
  readonly source: string;
}

/**
 * Where one is. `silent`: nothing came yet. `ready`: it spoke, and waits for its handshake to
 * begin. `begun`: the handshake is under way. `nameless`: that is done, and who it is comes later.
 */
interface Place<T> {
  readonly source: Source<T>;
  stage: 'silent' | 'ready' | 'begun' | 'nameless';
  /** When the stage began. */
  sinceMs: number;
}

/** All from one source, each set in the order of coming there. */
class Source<T> {
  readonly silent = new Set<T>();
  readonly ready = new Set<T>();
  /** Those without a name, too. */
  readonly begun = new Set<T>();

  get waiting(): number {
    return this.silent.size + this.ready.size;
  }
}

/**
 * Who has not shown yet who it is, by where it comes from. A handshake costs this node work, so
 * only so many are under way; whoever has spoken waits for a place, and what has begun is finished.
 * Strangers cost nothing to turn up, so a full house must not keep a node out: silence takes none
 * of the last half of the places, a handshake that stands still gives its place to one that waits,
 * and of several sources the one that has least goes first. Pure: time is an argument.
 */
export class HalfOpen<T extends HalfOpenEntry> {
  readonly #limits: HalfOpenLimits;
  readonly #places = new Map<T, Place<T>>();
  readonly #sources = new Map<string, Source<T>>();
  #silent = 0;
  #ready = 0;
  #begun = 0;

  constructor(limits: HalfOpenLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#places.size;
  }

  /** Of those that have spoken. */
  get waiting(): number {
    return this.#ready;
  }

  /**
   * Somebody new, who has said nothing yet. Whoever has to go for it, perhaps itself, is returned
   * and no longer counted: a silent one before one that waits, the last to come of those that do.
   */
  add(nowMs: number, entry: T): T | undefined {
    const source = this.#sources.get(entry.source) ?? new Source<T>();
    this.#sources.set(entry.source, source);
    source.silent.add(entry);
    this.#silent += 1;
    this.#places.set(entry, { source, stage: 'silent', sinceMs: nowMs });
    const { waiting, waitingPerAddress } = this.#limits;
    if (source.waiting > waitingPerAddress) return this.#turnAway(source);
    if (this.#silent + this.#ready > waiting) return this.#turnAway(this.#largest());
    return undefined;
  }

  /**
   * Begins the handshake of one that is still silent, when half of all places and half of its
   * source's are free: then nobody waits, and what it sends is read by TLS itself from the first
   * byte on. False: its first bytes are waited for.
   */
  beginAtOnce(nowMs: number, entry: T): boolean {
    const place = this.#places.get(entry);
    const { halfOpen, halfOpenPerAddress } = this.#limits;
    if (place?.stage !== 'silent' || this.#ready > 0) return false;
    if (this.#begun >= Math.floor(halfOpen / 2)) return false;
    if (place.source.begun.size >= Math.floor(halfOpenPerAddress / 2)) return false;
    this.heard(nowMs, entry);
    this.#enter(nowMs, entry);
    return true;
  }

  /** Its first bytes have come. */
  heard(nowMs: number, entry: T): void {
    const place = this.#places.get(entry);
    if (place?.stage !== 'silent') return;
    place.source.silent.delete(entry);
    place.source.ready.add(entry);
    this.#silent -= 1;
    this.#ready += 1;
    place.stage = 'ready';
    place.sinceMs = nowMs;
  }

  /** The next one whose handshake is to begin now; undefined when none waits or no place is free. */
  begin(nowMs: number): T | undefined {
    if (this.#ready === 0 || this.#begun >= this.#limits.halfOpen) return undefined;
    const source = this.#neediest(this.#limits.halfOpenPerAddress);
    if (source === undefined) return undefined;
    const [next] = source.ready;
    this.#enter(nowMs, next!);
    return next;
  }

  /** The handshake is done, and who it is will be known only later: an enrolment. */
  established(nowMs: number, entry: T): void {
    const place = this.#places.get(entry);
    if (place?.stage !== 'begun') return;
    place.stage = 'nameless';
    place.sinceMs = nowMs;
  }

  /** Somebody who stands still while others wait for a place: to be turned out, and not counted. */
  giveWay(nowMs: number): T | undefined {
    if (this.#ready === 0) return undefined;
    const source = this.#neediest(Number.POSITIVE_INFINITY)!;
    const full = source.begun.size >= this.#limits.halfOpenPerAddress;
    if (!full && this.#begun < this.#limits.halfOpen) return undefined;
    const victim = this.#slowest(nowMs, full ? [source] : [...this.#sources.values()]);
    if (victim !== undefined) this.remove(victim);
    return victim;
  }

  /** It has a name, or has gone. Does nothing when it was removed before. */
  remove(entry: T): void {
    const source = this.#places.get(entry)?.source;
    if (source === undefined) return;
    this.#places.delete(entry);
    if (source.silent.delete(entry)) this.#silent -= 1;
    else if (source.ready.delete(entry)) this.#ready -= 1;
    else if (source.begun.delete(entry)) this.#begun -= 1;
    if (source.waiting + source.begun.size === 0) this.#sources.delete(entry.source);
  }

  #enter(nowMs: number, entry: T): void {
    const place = this.#places.get(entry)!;
    place.source.ready.delete(entry);
    place.source.begun.add(entry);
    this.#ready -= 1;
    this.#begun += 1;
    place.stage = 'begun';
    place.sinceMs = nowMs;
  }

  #turnAway(source: Source<T>): T {
    const [oldestSilent] = source.silent;
    const victim = oldestSilent ?? [...source.ready].at(-1)!;
    this.remove(victim);
    return victim;
  }

  /** With most that wait; among equals the one that came first. */
  #largest(): Source<T> {
    return [...this.#sources.values()].reduce((most, each) =>
      each.waiting > most.waiting ? each : most,
    );
  }

  /** Of the sources that wait and hold fewer places than `below`, the one that holds fewest. */
  #neediest(below: number): Source<T> | undefined {
    let neediest: Source<T> | undefined;
    for (const source of this.#sources.values()) {
      if (source.ready.size === 0 || source.begun.size >= below) continue;
      const fewer = neediest === undefined || source.begun.size < neediest.begun.size;
      const sooner =
        source.begun.size === neediest?.begun.size &&
        this.#sinceMs(source.ready) < this.#sinceMs(neediest.ready);
      if (fewer || sooner) neediest = source;
    }
    return neediest;
  }

  /** Whose patience is over, in these sources: a handshake first, from where most are under way. */
  #slowest(nowMs: number, sources: readonly Source<T>[]): T | undefined {
    const waitedMs = nowMs - Math.min(...this.#waitingSince());
    const patienceMs =
      waitedMs > HANDSHAKE_PATIENCE_MS ? CROWDED_PATIENCE_MS : HANDSHAKE_PATIENCE_MS;
    const late = sources
      .flatMap(({ begun }) => [...begun].map((entry) => ({ entry, ...this.#places.get(entry)! })))
      .filter(({ stage, sinceMs }) => {
        return nowMs - sinceMs >= (stage === 'begun' ? patienceMs : NAMELESS_PATIENCE_MS);
      });
    const rank = ({ stage }: Place<T>) => (stage === 'begun' ? 0 : 1);
    late.sort(
      (a, b) =>
        rank(a) - rank(b) || b.source.begun.size - a.source.begun.size || a.sinceMs - b.sinceMs,
    );
    return late[0]?.entry;
  }

  #waitingSince(): number[] {
    const waiting = [...this.#sources.values()].filter(({ ready }) => ready.size > 0);
    return waiting.map(({ ready }) => this.#sinceMs(ready));
  }

  /** Of the first. */
  #sinceMs(entries: ReadonlySet<T>): number {
    const [entry] = entries;
    return this.#places.get(entry!)!.sinceMs;
  }
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
