import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { LaneCode, StreamCode } from '../../../packages/proto/src/wire/codes.ts';
import { FrameDecoder, type FrameHeader } from '../../../packages/proto/src/wire/frame-decoder.ts';
import type { FrameWriter } from '../../../packages/proto/src/wire/frame-writer.ts';
import {
  FRAME_RULES,
  FrameType,
  frameName,
  HEADER_BYTES,
} from '../../../packages/proto/src/wire/layout.ts';
import {
  parseAccept,
  parseClose,
  parseHello,
  parseNumber,
  parseOffers,
  parseOpen,
  parseReset,
} from '../../../packages/proto/src/wire/payload.ts';
import { ProtocolError } from '../../../packages/proto/src/wire/protocol-error.ts';
import {
  type ResumeSink,
  type ResumeStream,
  ResumeWriter,
  readResume,
} from '../../../packages/proto/src/wire/resume.ts';
import { concat, frame } from '../../support/session/frames.ts';

/** A record of RESUME; `code` is null when the stream ended cleanly. */
type ResumeRecord =
  | { readonly kind: 'opened'; readonly seen: number; readonly opened: number }
  | { readonly kind: 'dead'; readonly epoch: number }
  | { readonly kind: 'seen'; readonly id: number }
  | ({ readonly kind: 'stream' } & ResumeStream)
  | { readonly kind: 'ended'; readonly id: number; readonly code: StreamCode | null };

interface Meaning {
  readonly type: keyof typeof FrameType;
  readonly flags: number;
  readonly stream: number;
  readonly offset: number;
  readonly json?: unknown;
  readonly payload?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly clockUs?: number;
  readonly pingClockUs?: number;
  readonly receivedUs?: number;
  readonly sentUs?: number;
  readonly delivered?: number;
  readonly records?: readonly ResumeRecord[];
}

interface Good {
  readonly name: string;
  readonly hex: string;
  readonly frame: Meaning;
}

interface Bad {
  readonly name: string;
  readonly code: string;
  readonly by: 'header' | 'payload';
  readonly hex: string;
}

function vectors<T>(file: string): readonly T[] {
  const text = readFileSync(new URL(`../../vectors/${file}`, import.meta.url), 'utf8');
  const { vectors: list } = JSON.parse(text) as { vectors: T[] };
  assert.ok(list.length > 0);
  return list;
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

/** What a payload that is not DATA means. Throws a ProtocolError when it means nothing. */
function meaningOf(header: FrameHeader, payload: Uint8Array): Partial<Meaning> {
  switch (header.type) {
    case FrameType.HELLO:
      return { json: parseHello(payload) };
    case FrameType.CLOSE:
      return parseClose(payload);
    case FrameType.PING:
      return { clockUs: parseNumber(payload, 0) };
    case FrameType.PONG:
      return {
        pingClockUs: parseNumber(payload, 0),
        receivedUs: parseNumber(payload, 1),
        sentUs: parseNumber(payload, 2),
      };
    case FrameType.OFFERS:
      return { json: parseOffers(payload) };
    case FrameType.OPEN:
      return { json: parseOpen(payload) };
    case FrameType.ACCEPT:
      return { json: parseAccept(payload) };
    case FrameType.RESET:
      return parseReset(payload);
    case FrameType.CREDIT:
      return { delivered: parseNumber(payload, 0) };
    case FrameType.RESUME:
      return { records: recordsOf(payload) };
    default:
      return {};
  }
}

function recordsOf(payload: Uint8Array): ResumeRecord[] {
  const records: ResumeRecord[] = [];
  readResume(payload, {
    opened: (seen, opened) => records.push({ kind: 'opened', seen, opened }),
    dead: (epoch) => records.push({ kind: 'dead', epoch }),
    seen: (id) => records.push({ kind: 'seen', id }),
    stream: (entry) => records.push({ kind: 'stream', ...entry }),
    ended: (id, code) => records.push({ kind: 'ended', id, code: code ?? null }),
  });
  return records;
}

function decode(bytes: Uint8Array): Meaning[] {
  const meanings: Meaning[] = [];
  const decoder = new FrameDecoder({
    onFrame: (header, payload) => {
      const { flags, stream, offset } = header;
      const type = frameName(header.type) as Meaning['type'];
      meanings.push({ type, flags, stream, offset, ...meaningOf(header, payload) });
    },
    onData: (stream, offset, part) => {
      meanings.push({ type: 'DATA', flags: 0, stream, offset, payload: hexOf(part) });
    },
  });
  decoder.push(bytes);
  assert.ok(decoder.idle);
  return meanings;
}

function encode(meaning: Meaning): Uint8Array {
  if (meaning.records !== undefined) return encodeResume(meaning.records, meaning.flags);
  if (meaning.payload === undefined) return frame((writer) => write(writer, meaning));
  const payload = bytesOf(meaning.payload);
  const header = frame((w) => w.dataHeader(meaning.stream, meaning.offset, payload.length));
  return concat([header, payload]);
}

function encodeResume(records: readonly ResumeRecord[], flags: number): Uint8Array {
  const bytes = frame((writer) => {
    const resume = new ResumeWriter(writer);
    for (const record of records) tell(resume, record);
    resume.end();
  });
  // The writer alone knows which frame is the last; here it is the only one.
  bytes[1] = flags;
  return bytes;
}

function tell(sink: ResumeSink, record: ResumeRecord): void {
  switch (record.kind) {
    case 'opened':
      sink.opened(record.seen, record.opened);
      break;
    case 'dead':
      sink.dead(record.epoch);
      break;
    case 'seen':
      sink.seen(record.id);
      break;
    case 'stream':
      sink.stream(record);
      break;
    default:
      sink.ended(record.id, record.code ?? undefined);
  }
}

function write(writer: FrameWriter, meaning: Meaning): void {
  const { type, stream, offset, flags } = meaning;
  switch (type) {
    case 'CLOSE':
      writer.close(meaning.code as LaneCode, meaning.reason!);
      break;
    case 'PING':
      writer.ping(offset, meaning.clockUs!);
      break;
    case 'PONG':
      writer.pong(offset, meaning.pingClockUs!, meaning.receivedUs!, meaning.sentUs!);
      break;
    case 'GOAWAY':
      writer.goaway();
      break;
    case 'FIN':
      writer.fin(stream, offset);
      break;
    case 'RESET':
      writer.reset(stream, offset, meaning.code as StreamCode, meaning.reason!);
      break;
    case 'CREDIT':
      writer.credit(stream, offset, meaning.delivered!, flags);
      break;
    default:
      writer.json(FrameType[type], stream, offset, meaning.json, meaning.flags);
  }
}

const good = vectors<Good>('frames.json');
const taken = vectors<Good>('taken-frames.json');
const bad = vectors<Bad>('bad-frames.json');

for (const { name, hex, frame: meaning } of good) {
  test(`vector ${name}: decodes to what it means and encodes to the same bytes`, () => {
    assert.deepEqual(decode(bytesOf(hex)), [meaning]);
    assert.equal(hexOf(encode(meaning)), hex);
  });
}

for (const { name, hex, frame: meaning } of taken) {
  test(`vector ${name}`, () => {
    assert.deepEqual(decode(bytesOf(hex)), [meaning]);
    assert.notEqual(hexOf(encode(meaning)), hex);
  });
}

for (const { name, hex, code, by } of bad) {
  test(`vector ${name}: refused by its ${by} with ${code}`, () => {
    const bytes = bytesOf(hex);
    if (by === 'header') assert.equal(bytes.length, HEADER_BYTES);
    assert.throws(
      () => decode(bytes),
      (error) => error instanceof ProtocolError && error.code === code,
    );
  });
}

test('the vectors have every frame type and every refusal a lone frame can meet', () => {
  const types = new Set(good.map((each) => each.frame.type));
  for (const type of FRAME_RULES.keys()) assert.ok(types.has(frameName(type) as Meaning['type']));
  const codes = new Set(bad.map((each) => each.code));
  const expected = ['type', 'flags', 'reserved', 'length', 'stream', 'offset', 'payload'];
  const all = [...expected.map((each) => `frame-${each}`), 'resume'];
  assert.deepEqual([...codes].sort(), all.sort());
});
