/**
 * What happened, as lines, and a hash over all of them: FNV-1a, 64 bits, in two halves because a
 * number holds 53 (Fowler, Noll, Vo: draft-eastlake-fnv).
 */
export class Trace {
  readonly #onLine: ((line: string) => void) | undefined;
  #high = 0xcbf29ce4;
  #low = 0x84222325;
  lines = 0;

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(line: string): void {
    this.lines++;
    for (let i = 0; i < line.length; i++) this.#mix(line.charCodeAt(i) & 0xff);
    this.#mix(10);
    this.#onLine?.(line);
  }

  /** 16 hex digits. */
  get hash(): string {
    return hex8(this.#high) + hex8(this.#low);
  }

  /** h = (h xor byte) x (2^40 + 0x1b3) modulo 2^64 */
  #mix(byte: number): void {
    const low = (this.#low ^ byte) >>> 0;
    const product = low * 0x1b3;
    const carry = Math.floor(product / 0x1_0000_0000);
    this.#high = (Math.imul(this.#high, 0x1b3) + (low << 8) + carry) >>> 0;
    this.#low = product >>> 0;
  }
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}
