/**
 * The frame header, 24 bytes, big endian:
 *
 *     0  u8   type
 *     1  u8   flags
 *     2  u16  reserved, zero
 *     4  u32  payload length in bytes
 *     8  u64  stream id, zero for frames of the session
 *    16  u64  offset; its meaning depends on the type
 */
export const HEADER_BYTES = 24;

/** Most payload bytes of any frame. */
export const PAYLOAD_BYTES_MAX = 256 * 1024;

/** Most payload bytes of HELLO. */
export const HELLO_BYTES_MAX = 16 * 1024;

/** Most payload bytes of OFFERS: a name costs its receiver far more than its bytes do. */
export const OFFERS_BYTES_MAX = 16 * 1024;

/** Most payload bytes of OPEN, and of ACCEPT, which says a part of it again. */
export const OPEN_BYTES_MAX = 4 * 1024;

/** Largest stream id and offset: what a double holds exactly. */
export const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

export const FrameType = {
  /** Payload: JSON. First frame each way. */
  HELLO: 0x01,
  /** Last frame of a lane. Payload: u16 lane code, UTF-8 reason. */
  CLOSE: 0x02,
  /** Offset: sequence number. Payload: u64 sender's wall clock, µs since 1970. */
  PING: 0x03,
  /** Offset: the PING's. Payload: u64 the PING's clock, u64 clock on receipt, u64 clock on sending. */
  PONG: 0x04,
  /** Offset: rises with every list. Payload: JSON array, a page of the services it may open. */
  OFFERS: 0x05,
  /** The sender takes no new streams. Payload: empty. */
  GOAWAY: 0x06,
  /** Offset: credit the opener grants. Payload: JSON. */
  OPEN: 0x10,
  /** Offset: credit the acceptor grants. Payload: JSON. */
  ACCEPT: 0x11,
  /** Offset: position of the first payload byte in the stream. */
  DATA: 0x12,
  /** Offset: size of the whole direction; the sender half-closes. */
  FIN: 0x13,
  /** Offset: bytes sent before it. Payload: u16 stream code, UTF-8 reason. */
  RESET: 0x14,
  /** Offset: absolute limit up to which the receiver may send. Payload: u64 bytes delivered. */
  CREDIT: 0x15,
  /** Reserved: unreliable datagrams. */
  DATAGRAM: 0x20,
  /** Payload: records of what the sender knows, after it lost a lane (see `resume.ts`). */
  RESUME: 0x21,
  /** Reserved: services of other sites reachable through the sender. */
  ROUTES: 0x22,
} as const;

export type FrameType = (typeof FrameType)[keyof typeof FrameType];

/** Flag of CREDIT: everything up to the sender's FIN was delivered, the FIN included. */
export const FLAG_FIN_DELIVERED = 0x01;

/** Flag of OFFERS: the list goes on with the next OFFERS of the same number on the same lane. */
export const FLAG_OFFERS_MORE = 0x01;

/** Flag of RESUME: the set of records ends with this frame. */
export const FLAG_RESUME_LAST = 0x01;

interface FrameRule {
  readonly name: string;
  readonly payloadBytesMin: number;
  readonly payloadBytesMax: number;
  readonly flags: number;
  /** Whether the frame belongs to a stream (id > 0) or to the session (id 0). */
  readonly ofStream: boolean;
}

function rule(name: string, ofStream: boolean, min: number, max: number, flags = 0): FrameRule {
  return { name, ofStream, payloadBytesMin: min, payloadBytesMax: max, flags };
}

/** What each frame type may look like. A type that is not here is refused. */
export const FRAME_RULES: ReadonlyMap<number, FrameRule> = new Map([
  [FrameType.HELLO, rule('HELLO', false, 2, HELLO_BYTES_MAX)],
  [FrameType.CLOSE, rule('CLOSE', false, 2, 4 * 1024)],
  [FrameType.PING, rule('PING', false, 8, 8)],
  [FrameType.PONG, rule('PONG', false, 24, 24)],
  [FrameType.OFFERS, rule('OFFERS', false, 2, OFFERS_BYTES_MAX, FLAG_OFFERS_MORE)],
  [FrameType.GOAWAY, rule('GOAWAY', false, 0, 0)],
  [FrameType.OPEN, rule('OPEN', true, 2, OPEN_BYTES_MAX)],
  [FrameType.ACCEPT, rule('ACCEPT', true, 2, OPEN_BYTES_MAX)],
  [FrameType.DATA, rule('DATA', true, 1, PAYLOAD_BYTES_MAX)],
  [FrameType.FIN, rule('FIN', true, 0, 0)],
  [FrameType.RESET, rule('RESET', true, 2, 1024)],
  [FrameType.CREDIT, rule('CREDIT', true, 8, 8, FLAG_FIN_DELIVERED)],
  [FrameType.RESUME, rule('RESUME', false, 0, PAYLOAD_BYTES_MAX, FLAG_RESUME_LAST)],
]);

/** `DATA`, or `0x7f` for a type without a name. */
export function frameName(type: number): string {
  return FRAME_RULES.get(type)?.name ?? `0x${type.toString(16).padStart(2, '0')}`;
}
