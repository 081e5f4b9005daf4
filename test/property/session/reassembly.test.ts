import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Reassembly } from '../../../packages/proto/src/session/flow/reassembly.ts';
import { concat } from '../../support/session/frames.ts';

interface Insert {
  readonly kind: 'insert';
  readonly offset: number;
  readonly length: number;
  /** Bytes of the buffer in front of the piece. */
  readonly before: number;
}

type Step = Insert | { readonly kind: 'take'; readonly count: number } | { readonly kind: 'skip' };

/** The stream: the byte at each offset. */
const byteAt = (offset: number) => (offset * 31 + (offset >>> 8) * 7) & 0xff;

function insertOf(offset: number, length: number, before: number): Insert {
  return { kind: 'insert', offset, length, before };
}

/** Few places and many sizes, so that pieces overlap, touch and miss one another. */
function stepOf(span: number, lengths: fc.Arbitrary<number>): fc.Arbitrary<Step> {
  const offset = fc.integer({ min: 0, max: span });
  return fc.oneof(
    { weight: 6, arbitrary: fc.tuple(offset, lengths, fc.constant(0)).map((a) => insertOf(...a)) },
    { weight: 2, arbitrary: fc.tuple(offset, lengths, fc.nat(5_000)).map((a) => insertOf(...a)) },
    { weight: 2, arbitrary: fc.nat(4).map((count) => ({ kind: 'take' as const, count })) },
    { weight: 1, arbitrary: fc.constant({ kind: 'skip' as const }) },
  );
}

/** A reassembly, and beside it which offsets it must hold. */
class Bench {
  readonly real = new Reassembly();
  readonly held = new Set<number>();
  next = 0;
  /** None below is held. */
  #oldest = 0;

  run(step: Step): void {
    if (step.kind === 'insert') this.#insert(step);
    if (step.kind === 'take') for (let i = 0; i < step.count; i++) this.#take();
    if (step.kind === 'skip') this.#receiveOne();
    assert.equal(this.real.heldBytes, this.held.size);
    assert.equal(this.real.empty, this.held.size === 0);
  }

  /** Fills every gap and takes everything. */
  finish(): void {
    while (!this.real.empty) {
      this.#receiveOne();
      while (this.#take());
    }
    assert.equal(this.real.heldBytes, 0);
    assert.equal(this.held.size, 0);
  }

  #insert({ offset, length, before }: Insert): void {
    const buffer = new Uint8Array(before + length).fill(0xaa);
    const bytes = buffer.subarray(before);
    let added = 0;
    this.#oldest = Math.min(this.#oldest, offset);
    for (let i = 0; i < length; i++) {
      bytes[i] = byteAt(offset + i);
      if (!this.held.has(offset + i)) added++;
      this.held.add(offset + i);
    }
    assert.equal(this.real.insert(offset, bytes), added);
  }

  #take(): boolean {
    const piece = this.real.take(this.next);
    if (piece === undefined) {
      this.#forgetOld();
      assert.ok(!this.held.has(this.next), 'what is next is handed out');
      return false;
    }
    assert.ok(piece.length > 0);
    for (const byte of piece) {
      if (!this.held.delete(this.next)) assert.fail('only what was put in comes out');
      if (byte !== byteAt(this.next)) assert.fail(`wrong byte at ${this.next}`);
      this.next++;
    }
    this.#forgetOld();
    return true;
  }

  /** What is below the next byte goes with any take. */
  #forgetOld(): void {
    for (; this.#oldest < this.next; this.#oldest++) this.held.delete(this.#oldest);
  }

  /** The next byte comes past the reassembly, in order, and then what waited for it. */
  #receiveOne(): void {
    while (this.#take());
    this.next++;
    while (this.#take());
  }
}

const SIZES: readonly [string, number, fc.Arbitrary<number>][] = [
  ['tiny pieces', 300, fc.integer({ min: 0, max: 40 })],
  ['pieces of every size', 20_000, fc.oneof(fc.nat(30), fc.nat(1_100), fc.nat(5_000))],
];

for (const [name, span, lengths] of SIZES) {
  test(`${name}: every byte is held once, and comes out in its place`, () => {
    fc.assert(
      fc.property(fc.array(stepOf(span, lengths), { maxLength: 64, size: 'large' }), (steps) => {
        const bench = new Bench();
        for (const step of steps) bench.run(step);
        bench.finish();
      }),
      { numRuns: 150 },
    );
  });
}

test('several lanes, each in order, in any turn: all bytes come out in order', () => {
  const lane = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 20 });
  const order = fc.array(fc.nat(3), { minLength: 1, maxLength: 120 });
  fc.assert(
    fc.property(fc.array(lane, { minLength: 1, maxLength: 4 }), order, (lanes, turns) => {
      const real = new Reassembly();
      const total = lanes.flat().reduce((sum, length) => sum + length, 0);
      const queues = spread(lanes);
      const out: Uint8Array[] = [];
      let next = 0;
      for (let i = 0; queues.some((queue) => queue.length > 0); i++) {
        const [offset, length] =
          queues[turns[i % turns.length]! % queues.length]!.shift() ??
          queues.find((queue) => queue.length > 0)!.shift()!;
        real.insert(
          offset,
          Uint8Array.from({ length }, (_, at) => byteAt(offset + at)),
        );
        for (let piece = real.take(next); piece !== undefined; piece = real.take(next)) {
          out.push(piece);
          next += piece.length;
        }
      }
      assert.ok(real.empty);
      const bytes = concat(out);
      assert.equal(bytes.length, total);
      assert.ok(bytes.every((byte, at) => byte === byteAt(at)));
    }),
    { numRuns: 60 },
  );
});

/** Hands offsets to the lanes in turn, as a sender that spreads one stream over them does. */
function spread(lanes: readonly (readonly number[])[]): [offset: number, length: number][][] {
  const queues: [number, number][][] = lanes.map(() => []);
  const turns = Math.max(...lanes.map((lane) => lane.length));
  let offset = 0;
  for (let turn = 0; turn < turns; turn++) {
    for (const [i, lane] of lanes.entries()) {
      const length = lane[turn];
      if (length === undefined) continue;
      queues[i]!.push([offset, length]);
      offset += length;
    }
  }
  return queues;
}
