/** Rows of texts with each column as wide as its widest cell; the last column is not padded. */
export function columns(rows: readonly (readonly string[])[], indent = ''): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    }
  }
  return rows.map((row) => {
    const cells = row.map((cell, index) =>
      index === row.length - 1 ? cell : cell.padEnd(widths[index]!),
    );
    return `${indent}${cells.join('  ')}`.trimEnd();
  });
}

const SPANS: readonly (readonly [unit: string, seconds: number])[] = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
];

/** A span of time for people in at most two units: `3 d 4 h`, `12 s`; never negative. */
export function spanText(ms: number): string {
  const total = Math.max(0, Math.round(ms / 1000));
  const first = SPANS.findIndex(([, seconds]) => total >= seconds);
  if (first < 0) return '0 s';
  const [unit, seconds] = SPANS[first]!;
  const text = `${Math.floor(total / seconds)} ${unit}`;
  const next = SPANS[first + 1];
  const rest = next === undefined ? 0 : Math.floor((total % seconds) / next[1]);
  return rest === 0 ? text : `${text} ${rest} ${next![0]}`;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** A number of bytes for people: `0 B`, `1.5 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${BYTE_UNITS[unit]}`;
}

/** Milliseconds for people: `0.31 ms`, `12.4 ms`, `2.1 s`; signed. */
export function msText(ms: number): string {
  const size = Math.abs(ms);
  if (size >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(size < 10 ? 2 : 1)} ms`;
}

/** `1 stream`, `2 streams`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
