import { Journal } from '../shared/journal.ts';
import { type Entry, isNewer, type Stamp, stampOf } from './entry.ts';
import { MerkleTree } from './merkle.ts';

const KEY_LENGTH_MAX = 500;
const VALUE_LENGTH_MAX = 500_000;
/** Entries in one go to the disk. */
const AT_ONCE = 1000;

/** The keys and values of one site. There is no removal: it would be a value that says so. */
export class Store {
  /** Of what is here now. */
  readonly tree = new MerkleTree();
  readonly #site: string;
  readonly #journal: Journal<Entry>;
  readonly #kept = new Map<string, { readonly entry: Entry; readonly stamp: Stamp }>();

  constructor(site: string, path: string) {
    this.#site = site;
    this.#journal = new Journal(path);
    for (const entry of this.#journal.records) this.#note(entry);
  }

  get size(): number {
    return this.#kept.size;
  }

  get(key: string): Entry | undefined {
    return this.#kept.get(key)?.entry;
  }

  stampOf(key: string): Stamp | undefined {
    return this.#kept.get(key)?.stamp;
  }

  /** Writes here; on the disk when it returns. */
  write(values: ReadonlyMap<string, string>): void {
    const entries = [...values].map(([key, value]) => {
      if (key === '' || key.length > KEY_LENGTH_MAX || value.length > VALUE_LENGTH_MAX)
        throw new Error(
          `a key has 1 to ${KEY_LENGTH_MAX} characters, a value up to ${VALUE_LENGTH_MAX}`,
        );
      return { key, value, version: (this.get(key)?.version ?? 0) + 1, site: this.#site };
    });
    this.merge(entries);
  }

  /** Takes what is newer than what is here; on the disk when it returns. */
  merge(entries: readonly Entry[]): void {
    const newer = entries.filter((entry) => isNewer(stampOf(entry), this.stampOf(entry.key)));
    for (let from = 0; from < newer.length; from += AT_ONCE) {
      const some = newer.slice(from, from + AT_ONCE);
      this.#journal.append(...some);
      for (const entry of some) this.#note(entry);
    }
  }

  #note(entry: Entry): void {
    const stamp = stampOf(entry);
    if (!isNewer(stamp, this.stampOf(entry.key))) return;
    this.#kept.set(entry.key, { entry, stamp });
    this.tree.put(stamp);
  }
}
