import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineWriter, type LostLines } from '../../../packages/routy/src/observe/line-writer.ts';

/** A reader that takes so many bytes and then none until it is given more room, or that fails. */
class Reader {
  taken = '';
  room = 0;
  failsWith: string | undefined;

  write(bytes: Uint8Array): number {
    if (this.failsWith !== undefined) throw withCode(this.failsWith);
    if (this.room === 0) throw withCode('EAGAIN');
    const written = Math.min(bytes.length, this.room);
    this.room -= written;
    this.taken += Buffer.from(bytes.subarray(0, written)).toString();
    return written;
  }
}

function withCode(code: string): Error {
  return Object.assign(new Error(code), { code });
}

function rig(bufferMax: number) {
  const reader = new Reader();
  const told: LostLines[] = [];
  let now = 1000;
  const writer: LineWriter = new LineWriter(reader, {
    bufferMax,
    onRelief: (lost) => {
      told.push(lost);
      writer.write(`lost ${lost.lines}\n`);
    },
    nowMs: () => now++,
  });
  return { reader, writer, told };
}

test('lines that the reader takes are written at once, in order', () => {
  const { reader, writer } = rig(100);
  reader.room = 100;
  writer.write('one\n');
  writer.write('two\n');
  assert.equal(reader.taken, 'one\ntwo\n');
});

test('a reader that stalls is not waited for, and gets all that was kept when it goes on', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { reader, writer, told } = rig(1000);
  reader.room = 2;
  for (let line = 0; line < 10; line++) writer.write(`line ${line}\n`);
  assert.equal(reader.taken, 'li');
  reader.room = 10;
  t.mock.timers.tick(20);
  assert.equal(reader.taken, 'line 0\nline ');
  reader.room = 1000;
  t.mock.timers.tick(1000);
  assert.equal(reader.taken, Array.from({ length: 10 }, (_, line) => `line ${line}\n`).join(''));
  assert.deepEqual(told, []);
  assert.equal(writer.lostInAll, 0);
});

test('what comes beyond the buffer is counted, and told of once where it is missing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { reader, writer, told } = rig(40);
  for (let line = 0; line < 20; line++) writer.write(`l ${line % 10}\n`);
  assert.equal(writer.lostInAll, 10);
  assert.equal(writer.losingSinceMs, 1000);
  reader.room = 4;
  t.mock.timers.tick(250);
  writer.write('too early\n');
  assert.equal(writer.lostInAll, 11, 'half of the buffer must be free first');
  assert.deepEqual(told, []);
  reader.room = 1000;
  t.mock.timers.tick(500);
  writer.write('after\n');
  assert.deepEqual(told, [{ lines: 11, sinceMs: 1000 }]);
  assert.equal(writer.losingSinceMs, undefined);
  const kept = Array.from({ length: 10 }, (_, line) => `l ${line}\n`).join('');
  assert.equal(reader.taken, `${kept}lost 11\nafter\n`);
});

test('an output that fails loses lines without keeping later ones back, nor running them together', () => {
  const { reader, writer, told } = rig(100);
  reader.room = 3;
  writer.write('first\n');
  reader.failsWith = 'ENOSPC';
  writer.flush(0);
  for (let line = 0; line < 5; line++) writer.write('gone\n');
  assert.equal(writer.lostInAll, 6);
  reader.failsWith = undefined;
  reader.room = 1000;
  writer.write('back\n');
  assert.equal(reader.taken, 'fir\nback\nlost 6\n');
  assert.deepEqual(told, [{ lines: 6, sinceMs: 1000 }]);
});

test('what was to tell of lost lines and is lost itself is told again', () => {
  const { reader, writer, told } = rig(100);
  reader.failsWith = 'EPIPE';
  writer.write('gone\n');
  reader.failsWith = undefined;
  reader.room = 5;
  const { write } = reader;
  let writes = 0;
  reader.write = (bytes) => {
    writes += 1;
    if (writes === 2) throw withCode('EPIPE');
    return write.call(reader, bytes);
  };
  writer.write('back\n');
  assert.deepEqual(told, [{ lines: 1, sinceMs: 1000 }]);
  reader.room = 100;
  writer.write('on\n');
  assert.deepEqual(told[1], { lines: 2, sinceMs: 1000 });
  assert.equal(reader.taken, 'back\non\nlost 2\n');
});

test('the end of the process waits for a reader, but not for ever', () => {
  const { reader, writer } = rig(100);
  writer.write('last\n');
  writer.flush(20);
  assert.equal(reader.taken, '');
  reader.room = 100;
  writer.flush(20);
  assert.equal(reader.taken, 'last\n');
});
