import { FRAME_RULES, FrameType, HEADER_BYTES } from '../../../packages/proto/src/wire/layout.ts';
import type { Frames } from './frames.ts';
import type { Random } from '../random.ts';

/** Largest input: two frames of the largest payload and something. */
const INPUT_BYTES_MAX = 768 * 1024;

const KNOWN_TYPES = [...FRAME_RULES.keys()];
const RESERVED_TYPES = [FrameType.DATAGRAM, FrameType.ROUTES];

/** Lengths at which something changes. */
const LENGTHS = [
  0, 1, 2, 7, 8, 9, 23, 24, 25, 1024, 1025, 4096, 4097, 16_384, 16_385, 65_536, 65_537, 262_144,
  262_145, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/** Halves of the u64 values at which something changes. */
const HIGH_HALVES = [0, 0, 0, 1, 0x1f_ffff, 0x20_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

type FrameMutation = (random: Random, frames: Uint8Array[], others: Frames) => void;

const FRAME_MUTATIONS: readonly FrameMutation[] = [
  function duplicate(random, frames) {
    frames.splice(place(random, frames), 0, random.pick(frames));
  },
  function drop(random, frames) {
    if (frames.length > 1) frames.splice(random.int(0, frames.length - 1), 1);
  },
  function swap(random, frames) {
    const [a, b] = [random.int(0, frames.length - 1), random.int(0, frames.length - 1)];
    [frames[a], frames[b]] = [frames[b]!, frames[a]!];
  },
  function splice(random, frames, others) {
    frames.splice(place(random, frames), 0, random.pick(others));
  },
  function noise(random, frames) {
    const bytes = new Uint8Array(random.skewed(1, 64));
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.uint32() & 0xff;
    frames.splice(place(random, frames), 0, bytes);
  },
  function json(random, frames) {
    const type = random.pick([FrameType.HELLO, FrameType.OPEN, FrameType.ACCEPT, FrameType.OFFERS]);
    frames.splice(place(random, frames), 0, jsonFrame(random, type));
  },
];

type ByteMutation = (random: Random, view: DataView, header: number, length: number) => number;

/** Each changes bytes in place and returns the new length. `header` is where a frame begins. */
const BYTE_MUTATIONS: readonly ByteMutation[] = [
  function flipBits(random, view, _header, length) {
    const count = random.int(1, 8);
    for (let i = 0; i < count; i++) flip(random, view, random.int(0, length - 1));
    return length;
  },
  function flipInHeader(random, view, header, length) {
    flip(random, view, Math.min(length - 1, header + random.int(0, HEADER_BYTES - 1)));
    return length;
  },
  function truncate(random, _view, _header, length) {
    return random.int(0, length - 1);
  },
  function lieAboutLength(random, view, header, length) {
    if (header + HEADER_BYTES <= length) view.setUint32(header + 4, random.pick(LENGTHS));
    return length;
  },
  function swapType(random, view, header, length) {
    const types = random.pick([KNOWN_TYPES, KNOWN_TYPES, RESERVED_TYPES]);
    view.setUint8(header, random.chance(0.8) ? random.pick(types) : random.int(0, 255));
    return length;
  },
  function setFlags(random, view, header, length) {
    if (header + 4 > length) return length;
    if (random.chance(0.7)) view.setUint8(header + 1, random.int(0, 3));
    else view.setUint16(header + 2, random.int(0, 2));
    return length;
  },
  function setNumber(random, view, header, length) {
    const at = header + random.pick([8, 16, 24, 32]);
    if (at + 8 > length) return length;
    view.setUint32(at, random.pick(HIGH_HALVES));
    view.setUint32(at + 4, random.pick(LOW_HALVES));
    return length;
  },
];

/** Builds mutated inputs in one buffer that is used again and again. */
export class Mutator {
  readonly #bytes = new Uint8Array(INPUT_BYTES_MAX);
  readonly #view = new DataView(this.#bytes.buffer);

  /** The next input, valid until the next call; now and then it is not mutated at all. */
  mutate(random: Random, valid: Frames, others: Frames): Uint8Array {
    const frames = [...valid];
    while (random.chance(0.35)) random.pick(FRAME_MUTATIONS)(random, frames, others);
    const starts: number[] = [];
    let length = 0;
    for (const frame of frames) {
      if (length + frame.length > INPUT_BYTES_MAX) break;
      starts.push(length);
      this.#bytes.set(frame, length);
      length += frame.length;
    }
    while (length > 0 && random.chance(0.5)) {
      const start = Math.min(random.pick(starts), length - 1);
      length = random.pick(BYTE_MUTATIONS)(random, this.#view, start, length);
    }
    return this.#bytes.subarray(0, length);
  }
}

function place(random: Random, frames: Uint8Array[]): number {
  return random.int(0, frames.length);
}

function flip(random: Random, view: DataView, at: number): void {
  view.setUint8(at, view.getUint8(at) ^ (1 << random.int(0, 7)));
}

/** A JSON frame at or beyond the limits: as long as allowed or longer, nested deep, or strange. */
function jsonFrame(random: Random, type: number): Uint8Array {
  const max = FRAME_RULES.get(type)!.payloadBytesMax;
  const size = random.chance(0.02) ? random.pick([max - 2, max, max + 1]) : random.int(2, 200);
  const half = Math.floor(size / 2);
  const text = random.pick([
    () => '['.repeat(half) + ']'.repeat(half),
    () => `${'{"a":'.repeat(Math.floor(size / 6))}1${'}'.repeat(Math.floor(size / 6))}`,
    () => `"${'x'.repeat(Math.max(0, size - 2))}"`,
    () => '['.repeat(size),
    () => '{"__proto__":{"versions":[1]},"constructor":1,"toString":null}',
    () => '{"versions":[1],"session":{"__proto__":null},"settings":{"__proto__":"x"}}',
    () => '\u0000'.repeat(half),
    () => `[${'1e999,'.repeat(Math.floor(size / 6))}1]`,
    () => '"\\ud800"',
    () => 'null',
  ])();
  const payload = new TextEncoder().encode(text);
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  const rule = FRAME_RULES.get(type)!;
  view.setUint8(0, type);
  view.setUint32(4, payload.length);
  view.setUint32(12, rule.ofStream ? random.int(1, 9) : 0);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
