import { createHash } from 'node:crypto';

/** A value, and what decides which of two is newer. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  /** One more than that of the value it replaces. */
  readonly version: number;
  /** Where it was written. */
  readonly site: string;
}

/** An entry without its value: what has to be known to say which of two is newer. */
export interface Stamp {
  readonly key: string;
  readonly version: number;
  readonly site: string;
  /** Of the value. */
  readonly digest: string;
}

export function stampOf({ key, value, version, site }: Entry): Stamp {
  return { key, version, site, digest: digestOf(value) };
}

/**
 * Than what is there. Of one version the site decides, and where somebody has put back an old disk and
 * written on, the value: any two sites say the same of any two entries.
 */
export function isNewer(one: Stamp, other: Stamp | undefined): boolean {
  if (other === undefined) return true;
  if (one.version !== other.version) return one.version > other.version;
  if (one.site !== other.site) return one.site > other.site;
  return one.digest > other.digest;
}

/** 128 bits, which is enough among those who trust each other. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest().toString('base64url', 0, 16);
}
