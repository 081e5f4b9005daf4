import {
  FLAG_OFFERS_MORE,
  FrameType,
  HEADER_BYTES,
  OFFERS_BYTES_MAX,
} from '../../packages/proto/src/wire/layout.ts';

export const TYPE = FrameType;

/** A frame as it came. */
export interface Frame {
  readonly type: number;
  readonly stream: number;
  readonly offset: number;
  readonly payload: Buffer;
}

interface Fields {
  readonly flags?: number;
  readonly reserved?: number;
  readonly stream?: number | bigint;
  readonly offset?: number | bigint;
  /** In place of the payload's own length. */
  readonly length?: number;
}

/** Any 24 bytes of header with any payload: nothing keeps it from being wrong. */
export function raw(type: number, payload: Uint8Array = Buffer.alloc(0), fields: Fields = {}) {
  const frame = Buffer.alloc(HEADER_BYTES + payload.length);
  frame.writeUInt8(type, 0);
  frame.writeUInt8(fields.flags ?? 0, 1);
  frame.writeUInt16BE(fields.reserved ?? 0, 2);
  frame.writeUInt32BE(fields.length ?? payload.length, 4);
  frame.writeBigUInt64BE(BigInt(fields.stream ?? 0), 8);
  frame.writeBigUInt64BE(BigInt(fields.offset ?? 0), 16);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

export function read(bytes: Buffer): Frame {
  return {
    type: bytes.readUInt8(0),
    stream: Number(bytes.readBigUInt64BE(8)),
    offset: Number(bytes.readBigUInt64BE(16)),
    payload: bytes.subarray(HEADER_BYTES),
  };
}

export function json(type: number, value: unknown, fields: Fields = {}): Buffer {
  return raw(type, Buffer.from(JSON.stringify(value)), fields);
}

export function hello(value: unknown): Buffer {
  return json(TYPE.HELLO, value);
}

export function open(stream: number, service: string, credit = 64 * 1024): Buffer {
  const request = { protocol: 'tcp', versions: [1], capabilities: [], service };
  return json(TYPE.OPEN, request, { stream, offset: credit });
}

export function accept(stream: number, credit: number): Buffer {
  return json(TYPE.ACCEPT, { version: 1, capabilities: [] }, { stream, offset: credit });
}

export function data(stream: number, offset: number, payload: Uint8Array): Buffer {
  return raw(TYPE.DATA, payload, { stream, offset });
}

export function fin(stream: number, size: number): Buffer {
  return raw(TYPE.FIN, undefined, { stream, offset: size });
}

export function reset(stream: number, offset = 0, reason = 'for fun'): Buffer {
  return raw(TYPE.RESET, coded(9, reason), { stream, offset });
}

export function credit(stream: number, limit: number, delivered: number): Buffer {
  return raw(TYPE.CREDIT, u64s(delivered), { stream, offset: limit });
}

export function ping(sequence: number): Buffer {
  return raw(TYPE.PING, u64s(Date.now() * 1000), { offset: sequence });
}

export function pong({ offset, payload }: Frame): Buffer {
  return raw(TYPE.PONG, Buffer.concat([payload, payload, payload]), { offset });
}

export function offers(number: number, services: readonly unknown[], more = false): Buffer {
  return json(TYPE.OFFERS, services, { offset: number, flags: more ? FLAG_OFFERS_MORE : 0 });
}

/** The list in pages of at most 16 KiB, all but the last with the flag that it goes on. */
export function offersInPages(number: number, services: readonly string[]): Buffer {
  const pages: Buffer[] = [];
  for (let at = 0; at < services.length; ) {
    const from = at;
    for (let bytes = 1; at < services.length; at += 1) {
      bytes += services[at]!.length + 3;
      if (bytes > OFFERS_BYTES_MAX) break;
    }
    const fields = { offset: number, flags: at < services.length ? FLAG_OFFERS_MORE : 0 };
    pages.push(json(TYPE.OFFERS, services.slice(from, at), fields));
  }
  return Buffer.concat(pages);
}

export function resume(records: Uint8Array, last = true): Buffer {
  return raw(TYPE.RESUME, records, { flags: last ? 1 : 0 });
}

export function close(code: number, reason: string): Buffer {
  return raw(TYPE.CLOSE, coded(code, reason));
}

/** A record of RESUME: its kind and numbers of 8 bytes. */
export function record(kind: number, ...numbers: readonly number[]): Buffer {
  return Buffer.concat([Buffer.of(kind), u64s(...numbers)]);
}

function coded(code: number, reason: string): Buffer {
  return Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)]);
}

function u64s(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * numbers.length);
  for (const [index, number] of numbers.entries())
    bytes.writeBigUInt64BE(BigInt(number), 8 * index);
  return bytes;
}
