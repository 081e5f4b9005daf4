import { Random } from '../random.ts';

/** A prime, so that no shift by a power of two or a chunk size looks like the right bytes. */
const PERIOD = 65_521;

const PATTERN = makePattern();

function makePattern(): Uint8Array {
  const random = new Random(0x726f757479);
  const pattern = new Uint8Array(2 * PERIOD);
  for (let i = 0; i < PERIOD; i++) pattern[i] = random.uint32() & 0xff;
  pattern.copyWithin(PERIOD, 0, PERIOD);
  return pattern;
}

/** The bytes a direction of a conversation carries at `offset`: known to both ends beforehand. */
export function contentAt(direction: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const at = position(direction, offset + filled);
    const count = Math.min(length - filled, PERIOD);
    bytes.set(PATTERN.subarray(at, at + count), filled);
    filled += count;
  }
  return bytes;
}

/** Index of the first byte that is not what it should be, or -1. */
export function contentMismatch(direction: number, offset: number, bytes: Uint8Array): number {
  let at = position(direction, offset);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== PATTERN[at]) return i;
    if (++at === PERIOD) at = 0;
  }
  return -1;
}

function position(direction: number, offset: number): number {
  return (direction * 7919 + offset) % PERIOD;
}
