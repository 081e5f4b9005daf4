import { createHash } from 'node:crypto';
import { digestOf, type Stamp } from './entry.ts';

/** A part with more keys is told by the hashes of its 16 parts, one with fewer by its keys. */
export const KEYS_LISTED_MAX = 16;

const DIGITS = Array.from({ length: 16 }, (_, digit) => digit.toString(16));

/** What is said of a part of the tree. An empty one has the hash ''. */
export type Description =
  | { readonly hashes: readonly string[] }
  | { readonly stamps: readonly Stamp[] };

/** The keys whose hashes begin alike. */
interface Part {
  /** Undefined when something has changed below. */
  hash: string | undefined;
  /** By the hash of their key; where there are many, they are in `parts`. */
  readonly stamps: Map<string, Stamp>;
  parts: Part[] | undefined;
}

/**
 * Hashes over the hashed space of keys (Merkle, 1987), as fine as there are keys: two stores are equal
 * where their hashes are, so what differs among a million keys is found by a few messages. A part is
 * named by the digits its keys' hashes begin with, the whole by ''. It looks the same whatever the order
 * in which keys came.
 */
export class MerkleTree {
  readonly #root = emptyPart();

  /** In place of the one its key had. */
  put(stamp: Stamp): void {
    add(this.#root, createHash('sha256').update(stamp.key).digest('hex'), stamp, 0);
  }

  describe(name: string): Description {
    const part = this.#find(name);
    return part.parts === undefined
      ? { stamps: [...part.stamps.values()] }
      : { hashes: part.parts.map(hashOf) };
  }

  hashOf(name: string): string {
    return hashOf(this.#find(name));
  }

  /** All of them. */
  stampsOf(name: string): Stamp[] {
    return stampsOf(this.#find(name));
  }

  #find(name: string): Part {
    let part = this.#root;
    for (const digit of name) {
      if (part.parts === undefined) return partOf(part, name);
      part = part.parts[Number.parseInt(digit, 16)]!;
    }
    return part;
  }
}

/** The names of the 16 parts of a part. */
export function partsOf(name: string): string[] {
  return DIGITS.map((digit) => name + digit);
}

function emptyPart(): Part {
  return { hash: '', stamps: new Map(), parts: undefined };
}

function add(part: Part, path: string, stamp: Stamp, depth: number): void {
  part.hash = undefined;
  if (part.parts === undefined) {
    part.stamps.set(path, stamp);
    if (part.stamps.size <= KEYS_LISTED_MAX) return;
    part.parts = DIGITS.map(emptyPart);
    for (const [each, moved] of part.stamps) add(below(part, each, depth), each, moved, depth + 1);
    part.stamps.clear();
  } else {
    add(below(part, path, depth), path, stamp, depth + 1);
  }
}

function below(part: Part, path: string, depth: number): Part {
  return part.parts![Number.parseInt(path[depth]!, 16)]!;
}

/** Where the other tree has more keys it is finer, and asks for less than what is kept together here. */
function partOf({ stamps }: Part, name: string): Part {
  const some = [...stamps].filter(([path]) => path.startsWith(name));
  return some.length === 0
    ? emptyPart()
    : { hash: undefined, stamps: new Map(some), parts: undefined };
}

function hashOf(part: Part): string {
  part.hash ??= digestOf(JSON.stringify(part.parts?.map(hashOf) ?? linesOf(part)));
  return part.hash;
}

function linesOf({ stamps }: Part): string[] {
  const all = [...stamps.values()];
  return all.map((each) => JSON.stringify([each.key, each.version, each.site, each.digest])).sort();
}

function stampsOf({ parts, stamps }: Part): Stamp[] {
  return parts === undefined ? [...stamps.values()] : parts.flatMap(stampsOf);
}
