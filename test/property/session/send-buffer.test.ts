import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SendBuffer } from '../../../packages/proto/src/session/flow/send-buffer.ts';
import { concat } from '../../support/session/frames.ts';

/** The same thing without cleverness: all bytes ever written, and four offsets. */
interface Model {
  bytes: number[];
  sent: number;
  everSent: number;
  acked: number;
}

class Push implements fc.Command<Model, SendBuffer> {
  readonly chunk: Uint8Array;

  constructor(chunk: Uint8Array) {
    this.chunk = chunk;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: SendBuffer): void {
    real.push(this.chunk);
    model.bytes.push(...this.chunk);
    agree(model, real);
  }

  toString(): string {
    return `push(${this.chunk.length})`;
  }
}

class Take implements fc.Command<Model, SendBuffer> {
  readonly share: number;

  constructor(share: number) {
    this.share = share;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: SendBuffer): void {
    const length = Math.floor(this.share * (model.bytes.length - model.sent));
    const out: Uint8Array[] = [];
    real.take(length, out);
    assert.deepEqual([...concat(out)], model.bytes.slice(model.sent, model.sent + length));
    assert.ok(out.every((piece) => piece.length > 0));
    model.sent += length;
    model.everSent = Math.max(model.everSent, model.sent);
    agree(model, real);
  }

  toString(): string {
    return `take(${this.share})`;
  }
}

class Ack implements fc.Command<Model, SendBuffer> {
  readonly share: number;

  constructor(share: number) {
    this.share = share;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: SendBuffer): void {
    const freed = Math.floor(this.share * (model.everSent - model.acked));
    assert.equal(real.ack(model.acked + freed), freed);
    model.acked += freed;
    model.sent = Math.max(model.sent, model.acked);
    agree(model, real);
  }

  toString(): string {
    return `ack(${this.share})`;
  }
}

class Rewind implements fc.Command<Model, SendBuffer> {
  readonly share: number;

  constructor(share: number) {
    this.share = share;
  }

  check(): boolean {
    return true;
  }

  run(model: Model, real: SendBuffer): void {
    model.sent = model.acked + Math.floor(this.share * (model.everSent - model.acked));
    real.rewind(model.sent);
    agree(model, real);
  }

  toString(): string {
    return `rewind(${this.share})`;
  }
}

function agree(model: Model, real: SendBuffer): void {
  const written = model.bytes.length;
  assert.equal(real.written, written);
  assert.equal(real.sent, model.sent);
  assert.equal(real.everSent, model.everSent);
  assert.equal(real.acked, model.acked);
  assert.equal(real.unsentBytes, written - model.sent);
  assert.equal(real.heldBytes, written - model.acked);
}

const share = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }));

const commands = fc.commands(
  [
    fc.uint8Array({ maxLength: 40 }).map((chunk) => new Push(chunk)),
    share.map((value) => new Take(value)),
    share.map((value) => new Ack(value)),
    share.map((value) => new Rewind(value)),
  ],
  { size: 'large', maxCommands: 300 },
);

test('whatever is written, taken, acknowledged and taken again, the right bytes come out', () => {
  fc.assert(
    fc.property(commands, (sequence) => {
      const setup = () => ({
        model: { bytes: [], sent: 0, everSent: 0, acked: 0 },
        real: new SendBuffer(),
      });
      fc.modelRun(setup, sequence);
    }),
    { numRuns: 150 },
  );
});
