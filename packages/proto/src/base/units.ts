/** Outcome of reading a duration or size: the value, or what is wrong with the text. */
export type Parsed = { readonly value: number } | { readonly error: string };

interface Unit {
  readonly name: string;
  readonly factor: number;
}

/** Largest first: the order in which a value looks for the unit it is written in. */
const DURATION_UNITS: readonly Unit[] = [
  { name: 'h', factor: 3_600_000 },
  { name: 'm', factor: 60_000 },
  { name: 's', factor: 1000 },
  { name: 'ms', factor: 1 },
];

const SIZE_UNITS: readonly Unit[] = [
  { name: 'GiB', factor: 2 ** 30 },
  { name: 'MiB', factor: 2 ** 20 },
  { name: 'KiB', factor: 2 ** 10 },
  { name: 'B', factor: 1 },
];

/** Reads `500ms`, `5s`, `10m` or `1h` into whole milliseconds. */
export function parseDuration(text: string): Parsed {
  return parseQuantity(text, DURATION_UNITS, 'a duration such as "500ms", "5s", "10m" or "1h"');
}

/** Reads `512B`, `64KiB`, `4MiB` or `1GiB` into bytes. */
export function parseSize(text: string): Parsed {
  return parseQuantity(text, SIZE_UNITS, 'a size such as "64KiB", "4MiB" or "1GiB"');
}

/**
 * Whole milliseconds as people write them, `5s`; reads back to the same value. The largest unit
 * that divides it is taken, but one minute stays `60s` and one hour `60m`.
 */
export function formatDuration(ms: number): string {
  for (const { name, factor } of DURATION_UNITS) {
    const least = factor > 1000 ? 2 : 1;
    if (ms % factor === 0 && ms / factor >= least) return `${ms / factor}${name}`;
  }
  return `${ms}ms`;
}

/** Whole bytes as people write them, `4MiB`; reads back to the same value. */
export function formatSize(bytes: number): string {
  for (const { name, factor } of SIZE_UNITS) {
    if (bytes > 0 && bytes % factor === 0) return `${bytes / factor}${name}`;
  }
  return `${bytes}B`;
}

function parseQuantity(text: string, units: readonly Unit[], expected: string): Parsed {
  const match = /^(\d{1,15})\s*([A-Za-zµ]*)$/.exec(text);
  if (match === null) return { error: `expected ${expected}, got "${text}"` };
  const [, digits, suffix] = match;
  if (suffix === '') return { error: `"${text}" has no unit; expected ${expected}` };
  const unit = units.find((candidate) => candidate.name === suffix);
  if (unit === undefined) {
    const known = units.map((candidate) => candidate.name).reverse();
    return { error: `unknown unit "${suffix}" in "${text}"; units are ${known.join(', ')}` };
  }
  const value = Number(digits) * unit.factor;
  if (!Number.isSafeInteger(value)) return { error: `"${text}" is too large` };
  return { value };
}
