import { createHash } from 'node:crypto';

/** Digits of a bucket's name; each level of the tree has one more. */
export const DEPTH = 3;
const DIGITS = Array.from({ length: 16 }, (_, digit) => digit.toString(16));

/** What a bucket holds, in any order. */
interface Hashable {
  readonly key: string;
  readonly version: number;
  readonly site: string;
}

/** The bucket of a key: the first digits of its hash. Buckets are even, whatever the keys are. */
export function bucketOf(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, DEPTH);
}

/** The names of the 16 children of a node; the root is the empty name. */
export function childrenOf(node: string): string[] {
  return DIGITS.map((digit) => node + digit);
}

/**
 * Hashes of a store's buckets and of all nodes above them (Merkle, 1987): two stores are equal where
 * their hashes are, so what differs among a million keys is found by a few messages.
 */
export class MerkleTree {
  readonly #hashes = new Map<string, string>();

  /** `buckets`: what they hold, those that are empty may be missing. */
  constructor(buckets: ReadonlyMap<string, Iterable<Hashable>>) {
    this.#build('', buckets);
  }

  /** Of a node by its name. */
  hashOf(node: string): string {
    return this.#hashes.get(node) ?? '';
  }

  #build(node: string, buckets: ReadonlyMap<string, Iterable<Hashable>>): string {
    const parts =
      node.length === DEPTH
        ? [...(buckets.get(node) ?? [])].map(
            ({ key, version, site }) => `${key} ${version} ${site}`,
          )
        : childrenOf(node).map((child) => this.#build(child, buckets));
    const content = node.length === DEPTH ? parts.sort() : parts;
    const hash = createHash('sha256').update(JSON.stringify(content)).digest('base64');
    this.#hashes.set(node, hash);
    return hash;
  }
}
