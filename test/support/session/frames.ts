import { Budget } from '../../../packages/proto/src/session/flow/budget.ts';
import { makeHello } from '../../../packages/proto/src/session/lanes/handshake.ts';
import type { SessionOptions } from '../../../packages/proto/src/session/options.ts';
import { FrameWriter } from '../../../packages/proto/src/wire/frame-writer.ts';
import { FrameType, HEADER_BYTES } from '../../../packages/proto/src/wire/layout.ts';
import type { Hello, HelloSession } from '../../../packages/proto/src/wire/payload.ts';
import {
  type ResumeStream,
  ResumeWriter,
  readResume,
} from '../../../packages/proto/src/wire/resume.ts';

/** A frame as it was read from bytes. */
export interface ReadFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly offset: number;
  readonly payload: Uint8Array;
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The bytes of what `write` writes. */
export function frame(write: (writer: FrameWriter) => void): Uint8Array {
  const writer = new FrameWriter();
  write(writer);
  const pieces: Uint8Array[] = [];
  writer.drainTo(pieces);
  return concat(pieces);
}

export function dataFrame(stream: number, offset: number, payload: Uint8Array): Uint8Array {
  return concat([frame((writer) => writer.dataHeader(stream, offset, payload.length)), payload]);
}

/** What a node with these options says of the session on its first lane. */
function firstLane(options: SessionOptions): HelloSession {
  const { sessionId: id, secret } = options;
  return { id, epoch: 1, ...(options.role === 'acceptor' && { secret }) };
}

/** The HELLO a node with these options sends on a session's first lane, unless told otherwise. */
export function helloOf(options: SessionOptions, session = firstLane(options)): Hello {
  return makeHello(options, session, 1e15);
}

export function helloFrame(options: SessionOptions, session = firstLane(options)): Uint8Array {
  const hello = helloOf(options, session);
  return frame((writer) => writer.json(FrameType.HELLO, 0, 0, hello));
}

/** A whole RESUME of the records that `tell` tells. */
export function resumeFrame(tell: (writer: ResumeWriter) => void): Uint8Array {
  return frame((writer) => {
    const resume = new ResumeWriter(writer);
    tell(resume);
    resume.end();
  });
}

/** A `stream` record's fields: accepted, and nothing has come yet. */
export function resumeStream(id: number, changes: Partial<ResumeStream> = {}): ResumeStream {
  const fins = { finReceived: false, finDelivered: false };
  return { id, open: true, ...fins, received: 0, delivered: 0, limit: 100_000, ...changes };
}

/** The records of a RESUME frame, each its kind and its fields. */
export function resumeRecords({ payload }: ReadFrame): (readonly unknown[])[] {
  const records: (readonly unknown[])[] = [];
  readResume(payload, {
    opened: (...fields) => records.push(['opened', ...fields]),
    dead: (...fields) => records.push(['dead', ...fields]),
    seen: (...fields) => records.push(['seen', ...fields]),
    stream: (...fields) => records.push(['stream', ...fields]),
    ended: (...fields) => records.push(['ended', ...fields]),
  });
  return records;
}

export function openFrame(stream: number, credit: number, service = 'postgres'): Uint8Array {
  const open = { protocol: 'tcp', versions: [1], capabilities: [], service };
  return frame((writer) => writer.json(FrameType.OPEN, stream, credit, open));
}

export function acceptFrame(stream: number, credit: number): Uint8Array {
  const accept = { version: 1, capabilities: [] };
  return frame((writer) => writer.json(FrameType.ACCEPT, stream, credit, accept));
}

/** Reads whole frames by the layout alone; throws when the last one is cut. */
export function readFrames(pieces: readonly Uint8Array[]): ReadFrame[] {
  const bytes = concat(pieces);
  const view = new DataView(bytes.buffer);
  const frames: ReadFrame[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + HEADER_BYTES + view.getUint32(at + 4);
    if (end > bytes.length) throw new Error(`the frame at ${at} ends beyond the bytes`);
    frames.push({
      type: bytes[at]!,
      flags: bytes[at + 1]!,
      stream: Number(view.getBigUint64(at + 8)),
      offset: Number(view.getBigUint64(at + 16)),
      payload: bytes.slice(at + HEADER_BYTES, end),
    });
    at = end;
  }
  return frames;
}

const RED = { fabric: 'acme', site: 'red', node: 'red1' };
const GRAY = { fabric: 'acme', site: 'gray', node: 'gray1' };

/** Options of a session between red1, which dials, and gray1; each with budgets of its own. */
export function sessionOptions(
  role: 'dialler' | 'acceptor',
  changes: Partial<SessionOptions> = {},
): SessionOptions {
  return {
    role,
    self: role === 'dialler' ? RED : GRAY,
    peer: role === 'dialler' ? GRAY : RED,
    software: 'routy/test',
    instance: '0'.repeat(32),
    sessionId: 'a'.repeat(32),
    secret: role === 'dialler' ? '' : '5e'.repeat(32),
    settings: { heartbeat_interval: '5s' },
    heartbeatIntervalMs: 5_000,
    heartbeatMisses: 3,
    handshakeTimeoutMs: 10_000,
    resumeTimeMs: 60_000,
    streamWindow: 4 * 1024 * 1024,
    sessionBuffer: 256 * 1024 * 1024,
    streams: 16_384,
    pools: { send: new Budget(128 * 1024 * 1024), receive: new Budget(128 * 1024 * 1024) },
    ...changes,
  };
}
