import { Journal } from '../shared/journal.ts';
import { bucketOf, MerkleTree } from './merkle.ts';

/** A value and what decides which of two is newer. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  /** One more than that of the value it replaces. */
  readonly version: number;
  /** Where it was written: decides between two of one version, at both sites alike. */
  readonly site: string;
}

/** The keys and values of one site, in buckets of a Merkle tree. */
export class Store {
  readonly #site: string;
  readonly #journal: Journal<Entry>;
  readonly #buckets = new Map<string, Map<string, Entry>>();
  #tree: MerkleTree | undefined;

  constructor(site: string, path: string) {
    this.#site = site;
    this.#journal = new Journal(path);
    for (const entry of this.#journal.records) this.#note(entry);
  }

  get size(): number {
    return [...this.#buckets.values()].reduce((sum, bucket) => sum + bucket.size, 0);
  }

  /** As it is now. */
  get tree(): MerkleTree {
    this.#tree ??= new MerkleTree(
      new Map([...this.#buckets].map(([name, bucket]) => [name, bucket.values()])),
    );
    return this.#tree;
  }

  get(key: string): Entry | undefined {
    return this.#buckets.get(bucketOf(key))?.get(key);
  }

  write(key: string, value: string): void {
    const version = (this.get(key)?.version ?? 0) + 1;
    this.merge([{ key, value, version, site: this.#site }]);
  }

  entriesOf(bucket: string): Entry[] {
    return [...(this.#buckets.get(bucket)?.values() ?? [])];
  }

  /** Takes what is newer than what is here; it is on the disk when this returns. */
  merge(entries: readonly Entry[]): void {
    const newer = entries.filter((entry) => isNewer(entry, this.get(entry.key)));
    this.#journal.append(...newer);
    for (const entry of newer) this.#note(entry);
  }

  #note(entry: Entry): void {
    const name = bucketOf(entry.key);
    const bucket = this.#buckets.get(name) ?? new Map<string, Entry>();
    this.#buckets.set(name, bucket.set(entry.key, entry));
    this.#tree = undefined;
  }
}

/** Than what is there. */
export function isNewer(one: Entry, other: Entry | undefined): boolean {
  if (other === undefined) return true;
  if (one.version !== other.version) return one.version > other.version;
  return one.site > other.site;
}
