import { EventEmitter, once } from 'node:events';
import { Journal } from '../shared/journal.ts';

/** A write, as it travels from site to site. */
export interface Entry {
  /** The site where it was written. */
  readonly origin: string;
  /** Larger than that of every write the origin had seen, so one that follows another is larger. */
  readonly sequence: number;
  readonly key: string;
  readonly value: string;
  /** The sites that have it for sure: it is sent to none of them. */
  readonly path: readonly string[];
}

/** An entry on its way to a neighbour, by its number in the queue of the site that sends it. */
export interface Queued {
  readonly number: number;
  readonly entry: Entry;
}

/** An entry as a site keeps it: what came from a neighbour says so, with its number there. */
interface Kept extends Entry {
  readonly from?: string;
  readonly number?: number;
}

/**
 * The keys and values of one site, and all writes it has seen in the order in which it saw them. That
 * is also the queue for each neighbour: a number in it says how far the neighbour has come.
 */
export class Store extends EventEmitter<{ grown: [] }> {
  readonly #site: string;
  readonly #journal: Journal<Kept>;
  readonly #newest = new Map<string, Entry>();
  /** By origin: the sequence up to which everything of it is here. */
  readonly #seen = new Map<string, number>();
  /** By neighbour: the number in its queue up to which everything is here. */
  readonly #heard = new Map<string, number>();
  #clock = 0;

  constructor(site: string, path: string) {
    super();
    this.#site = site;
    this.#journal = new Journal(path);
    for (const kept of this.#journal.records) this.#note(kept);
  }

  /** Of two writes that did not know of each other all sites take the same one. */
  values(): Record<string, string> {
    const keys = [...this.#newest.keys()].sort();
    return Object.fromEntries(keys.map((key) => [key, this.#newest.get(key)!.value]));
  }

  write(key: string, value: string): Entry {
    const entry = { origin: this.#site, sequence: this.#clock + 1, key, value, path: [this.#site] };
    this.#keep([entry]);
    return entry;
  }

  /** How far this site has come in a neighbour's queue. */
  heardOf(neighbour: string): number {
    return this.#heard.get(neighbour) ?? 0;
  }

  /**
   * Takes entries of a neighbour's queue. Those of one origin come in order on each way, so what is not
   * larger than the largest is here already: it came on another way, or is sent again.
   */
  take(neighbour: string, queued: readonly Queued[]): void {
    const fresh: Kept[] = [];
    const seen = new Map(this.#seen);
    for (const { number, entry } of queued) {
      if (entry.sequence <= (seen.get(entry.origin) ?? 0)) continue;
      seen.set(entry.origin, entry.sequence);
      fresh.push({ ...entry, path: [...entry.path, this.#site], from: neighbour, number });
    }
    this.#keep(fresh);
    // Only now: what the disk did not take has not been heard, and comes again.
    const last = queued.at(-1);
    if (last !== undefined) this.#hear(neighbour, last.number);
  }

  /** How many entries behind a number a neighbour needs. */
  countFor(neighbour: string, after: number): number {
    const behind = this.#journal.records.slice(after);
    return behind.filter(({ path }) => !path.includes(neighbour)).length;
  }

  /** The next entry behind a number that a neighbour needs; waits for one. */
  async nextFor(neighbour: string, after: number, signal: AbortSignal): Promise<Queued> {
    for (let number = after; ; number++) {
      while (number >= this.#journal.records.length) await once(this, 'grown', { signal });
      const { from: _from, number: _number, ...entry } = this.#journal.records[number]!;
      if (!entry.path.includes(neighbour)) return { number: number + 1, entry };
    }
  }

  #keep(entries: readonly Kept[]): void {
    this.#journal.append(...entries);
    for (const entry of entries) this.#note(entry);
    if (entries.length > 0) this.emit('grown');
  }

  #note(kept: Kept): void {
    const { origin, sequence, key, from, number } = kept;
    this.#seen.set(origin, sequence);
    this.#clock = Math.max(this.#clock, sequence);
    if (from !== undefined) this.#hear(from, number!);
    const newest = this.#newest.get(key);
    if (newest === undefined || isNewer(kept, newest)) this.#newest.set(key, kept);
  }

  #hear(neighbour: string, number: number): void {
    this.#heard.set(neighbour, Math.max(number, this.heardOf(neighbour)));
  }
}

function isNewer(one: Entry, other: Entry): boolean {
  if (one.sequence !== other.sequence) return one.sequence > other.sequence;
  return one.origin > other.origin;
}
