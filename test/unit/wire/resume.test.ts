import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamCode } from '../../../packages/proto/src/wire/codes.ts';
import { FLAG_RESUME_LAST, FrameType } from '../../../packages/proto/src/wire/layout.ts';
import { ProtocolError } from '../../../packages/proto/src/wire/protocol-error.ts';
import {
  type ResumeSink,
  type ResumeStream,
  ResumeWriter,
  readResume,
} from '../../../packages/proto/src/wire/resume.ts';
import { concat, frame, type ReadFrame, readFrames } from '../../support/session/frames.ts';

const PAYLOAD_BYTES_MAX = 64 * 1024;

/** The frames of the set that `tell` tells. */
function framesOf(tell: (writer: ResumeWriter) => void): ReadFrame[] {
  const bytes = frame((writer) => {
    const resume = new ResumeWriter(writer);
    tell(resume);
    resume.end();
  });
  return readFrames([bytes]);
}

/** The payload of a set of one frame. */
function payloadOf(tell: (writer: ResumeWriter) => void): Uint8Array {
  const [only, ...none] = framesOf(tell);
  assert.equal(none.length, 0);
  assert.equal(only!.flags, FLAG_RESUME_LAST);
  return only!.payload;
}

class Log implements ResumeSink {
  readonly said: unknown[] = [];

  opened(seen: number, opened: number): void {
    this.said.push(['opened', seen, opened]);
  }

  dead(epoch: number): void {
    this.said.push(['dead', epoch]);
  }

  seen(id: number): void {
    this.said.push(['seen', id]);
  }

  stream(entry: ResumeStream): void {
    this.said.push(['stream', entry]);
  }

  ended(id: number, code: StreamCode | undefined): void {
    this.said.push(['ended', id, code]);
  }
}

function read(payload: Uint8Array): unknown[] {
  const log = new Log();
  readResume(payload, log);
  return log.said;
}

/** Code and message of the refusal, and what was read before it. */
function refusal(payload: Uint8Array): { code: string; message: string; said: unknown[] } {
  const log = new Log();
  try {
    readResume(payload, log);
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
    const unknown = /unknown (record kind|flags)/.test(error.message);
    assert.equal(error.laneCode, unknown ? 'version-mismatch' : 'protocol-error');
    return { code: error.code, message: error.message, said: log.said };
  }
  return assert.fail('taken');
}

const MAX = Number.MAX_SAFE_INTEGER;

const ENTRY: ResumeStream = {
  id: 5,
  open: true,
  finReceived: false,
  finDelivered: false,
  received: 2 ** 40 + 3,
  delivered: 2 ** 32,
  limit: MAX,
};

test('what is written is read, record by record', () => {
  const flags = [false, true];
  const entries = flags.flatMap((open) =>
    flags.flatMap((finReceived) =>
      flags.map((finDelivered) => ({ ...ENTRY, open, finReceived, finDelivered })),
    ),
  );
  const payload = payloadOf((writer) => {
    writer.opened(MAX, 0);
    writer.dead(1);
    writer.dead(MAX);
    writer.seen(2 ** 32 + 1);
    for (const entry of entries) writer.stream(entry);
    writer.ended(7, undefined);
    writer.ended(9, 'cancelled');
    writer.ended(11, 'resume-mismatch');
  });
  assert.deepEqual(read(payload), [
    ['opened', MAX, 0],
    ['dead', 1],
    ['dead', MAX],
    ['seen', 2 ** 32 + 1],
    ...entries.map((entry) => ['stream', entry]),
    ['ended', 7, undefined],
    ['ended', 9, 'cancelled'],
    ['ended', 11, 'resume-mismatch'],
  ]);
});

test('a payload may be a view into something larger', () => {
  const payload = payloadOf((writer) => writer.stream(ENTRY));
  const around = concat([new Uint8Array(13).fill(0xff), payload, new Uint8Array(5).fill(0xff)]);
  assert.deepEqual(read(around.subarray(13, 13 + payload.length)), [['stream', ENTRY]]);
  assert.deepEqual(read(new Uint8Array(0)), []);
});

test('a large set goes in frames of 64 KiB at most, cut between records, the last one flagged', () => {
  const count = 10_000;
  const frames = framesOf((writer) => {
    writer.opened(1, 2);
    for (let id = 1; id <= count; id++) {
      writer.stream({ ...ENTRY, id });
      if (id % 3 === 0) writer.ended(id, undefined);
    }
  });
  assert.ok(frames.length > 1);
  for (const [i, each] of frames.entries()) {
    assert.deepEqual([each.type, each.stream, each.offset], [FrameType.RESUME, 0, 0]);
    assert.equal(each.flags, i === frames.length - 1 ? FLAG_RESUME_LAST : 0);
    assert.ok(each.payload.length > 0 && each.payload.length <= PAYLOAD_BYTES_MAX);
    if (each.flags === 0)
      assert.ok(each.payload.length > PAYLOAD_BYTES_MAX - 34, 'frames are full');
  }
  const said = frames.flatMap((each) => read(each.payload));
  assert.deepEqual(said[0], ['opened', 1, 2]);
  const ids = (kind: string) =>
    (said as [string, number | ResumeStream][])
      .filter(([each]) => each === kind)
      .map(([, what]) => (typeof what === 'number' ? what : what.id));
  const all = Array.from({ length: count }, (_, i) => i + 1);
  assert.deepEqual(ids('stream'), all);
  assert.deepEqual(
    ids('ended'),
    all.filter((id) => id % 3 === 0),
  );
});

test('a set that fills a frame to its last byte is one frame, one record more makes two', () => {
  const sizes = (ids: number) =>
    framesOf((writer) => {
      writer.stream(ENTRY);
      for (let id = 0; id < ids; id++) writer.seen(id);
    }).map((each) => each.payload.length);
  assert.deepEqual(sizes(7_278), [PAYLOAD_BYTES_MAX]);
  assert.deepEqual(sizes(7_279), [PAYLOAD_BYTES_MAX, 9]);
});

test('a stream code of a later version is internal', () => {
  const payload = payloadOf((writer) => writer.ended(3, 'internal'));
  for (const code of [999, 0xfffe]) {
    new DataView(payload.buffer, payload.byteOffset).setUint16(9, code);
    assert.deepEqual(read(payload), [['ended', 3, 'internal']]);
  }
});

test('a kind that is not known is refused, after what came before it', () => {
  const good = payloadOf((writer) => writer.opened(1, 2));
  for (const kind of [0, 6, 0x81, 0xff]) {
    const bad = concat([good, Uint8Array.of(kind), new Uint8Array(40)]);
    assert.deepEqual(refusal(bad), {
      code: 'resume',
      message: `unknown record kind ${kind}`,
      said: [['opened', 1, 2]],
    });
  }
});

test('stream flags that are not known are refused', () => {
  const payload = payloadOf((writer) => writer.stream(ENTRY));
  for (let flags = 0; flags < 256; flags++) {
    payload[1] = flags;
    if (flags < 8) {
      read(payload);
    } else {
      const { code, message } = refusal(payload);
      assert.equal(code, 'resume');
      assert.equal(message, `stream record with unknown flags ${flags}`);
    }
  }
});

const RECORDS: readonly [string, (writer: ResumeWriter) => void, readonly number[]][] = [
  ['opened', (writer) => writer.opened(1, 2), [1, 9]],
  ['dead', (writer) => writer.dead(1), [1]],
  ['seen', (writer) => writer.seen(1), [1]],
  ['stream', (writer) => writer.stream(ENTRY), [2, 10, 18, 26]],
  ['ended', (writer) => writer.ended(1, undefined), [1]],
];

for (const [kind, tell, numbersAt] of RECORDS) {
  test(`${kind}: a record that is cut anywhere is refused`, () => {
    const payload = payloadOf(tell);
    for (let length = 1; length < payload.length; length++) {
      const { code, message, said } = refusal(payload.subarray(0, length));
      assert.equal(code, 'resume');
      assert.match(message, new RegExp(`cut at ${length} of ${payload.length} bytes`));
      assert.deepEqual(said, []);
    }
  });

  test(`${kind}: no number goes beyond 2^53-1`, () => {
    for (const at of numbersAt) {
      const payload = payloadOf(tell);
      const view = new DataView(payload.buffer, payload.byteOffset);
      view.setBigUint64(at, BigInt(MAX));
      assert.equal(read(payload).length, 1);
      for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
        view.setBigUint64(at, value);
        const { code, said } = refusal(payload);
        assert.equal(code, 'frame-payload');
        assert.deepEqual(said, []);
      }
    }
  });
}
