import type { StreamCode } from '../wire/codes.ts';
import type { FrameHeader } from '../wire/decode.ts';
import type { FrameWriter } from '../wire/frame-writer.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../wire/layout.ts';
import {
  type OpenPayload,
  parseAccept,
  parseNumber,
  parseOpen,
  parseReset,
} from '../wire/payload.ts';
import { ProtocolError } from '../wire/protocol-error.ts';
import { AckList } from './ack-list.ts';
import { Budget } from './budget.ts';
import type { EventQueue } from './events.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { SessionOptions } from './options.ts';
import { PausedWriters } from './paused-writers.ts';
import { ReceiveWindow, WINDOW_BYTES_MIN } from './receive-window.ts';
import { Scheduler } from './scheduler.ts';
import { Stream } from './stream.ts';

/** Payload bytes a stream sends in one turn. */
const TURN_BYTES_MAX = 64 * 1024;

/** Up to this, copying is cheaper than one more piece for the lane to gather. */
const COPIED_BYTES_MAX = 1024;

const STREAM_VERSIONS: readonly number[] = [1];

export type OpenResult =
  | { readonly ok: true; readonly stream: number }
  | { readonly ok: false; readonly code: StreamCode; readonly reason: string };

export interface StreamTotals {
  opened: number;
  bytesSent: number;
  bytesReceived: number;
}

/** The streams of a session: takes their frames and commands, and says what is to be sent. */
export class StreamTable {
  readonly totals: StreamTotals = { opened: 0, bytesSent: 0, bytesReceived: 0 };
  readonly #options: SessionOptions;
  readonly #events: EventQueue;
  readonly #writer: FrameWriter;
  readonly #heartbeat: Heartbeat;
  readonly #sendPool: Budget;
  readonly #receivePool: Budget;
  readonly #streams = new Map<number, Stream>();
  readonly #scheduler = new Scheduler();
  readonly #paused: PausedWriters;
  readonly #acks = new AckList();
  #nextLocalId: number;
  /** Highest id the peer has opened; its ids rise by two. */
  #lastRemoteId: number;
  /** Bytes the peer takes on a stream before it accepts it. */
  #peerInitialWindow = 0;
  #undelivered = 0;
  #draining = false;

  constructor(
    options: SessionOptions,
    events: EventQueue,
    writer: FrameWriter,
    heartbeat: Heartbeat,
  ) {
    this.#options = options;
    this.#events = events;
    this.#writer = writer;
    this.#heartbeat = heartbeat;
    this.#sendPool = new Budget(options.sessionBuffer / 2, options.pools.send, () => {
      this.#paused.pauseAll(this.#streams.values(), options.pauseWriters);
    });
    this.#receivePool = new Budget(options.sessionBuffer / 2, options.pools.receive);
    this.#paused = new PausedWriters(this.#sendPool, events);
    const dialler = options.role === 'dialler';
    this.#nextLocalId = dialler ? 1 : 2;
    this.#lastRemoteId = dialler ? 0 : -1;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Bytes held for sending or replay plus bytes received and not delivered. */
  get bufferedBytes(): number {
    return this.#sendPool.used + this.#undelivered;
  }

  get deadlineMs(): number | undefined {
    const ackAtMs = this.#acks.deadlineMs;
    const retryAtMs = this.#paused.deadlineMs;
    if (ackAtMs === undefined || retryAtMs === undefined) return ackAtMs ?? retryAtMs;
    return Math.min(ackAtMs, retryAtMs);
  }

  get hasToSend(): boolean {
    return !this.#scheduler.empty;
  }

  start(peerInitialWindow: number): void {
    this.#peerInitialWindow = peerInitialWindow;
  }

  drain(): void {
    this.#draining = true;
  }

  open(nowMs: number, request: OpenPayload): OpenResult {
    const receive = this.#newWindow(nowMs);
    if (receive === undefined) {
      return { ok: false, code: 'overload', reason: this.#overloadReason() };
    }
    const id = this.#nextLocalId;
    this.#nextLocalId += 2;
    receive.start();
    this.#streams.set(id, new Stream(id, 'opening', receive, this.#peerInitialWindow));
    this.totals.opened++;
    this.#writer.json(FrameType.OPEN, id, receive.limit, request);
    return { ok: true, stream: id };
  }

  accept(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.phase !== 'incoming') return;
    stream.phase = 'open';
    stream.receive.start();
    this.#writer.json(FrameType.ACCEPT, id, stream.receive.limit, {
      version: STREAM_VERSIONS[0],
      capabilities: [],
    });
    // ACCEPT grants credit but acknowledges nothing of the data that came before it.
    if (stream.receive.delivered > 0 || stream.finDelivered) this.#credit(stream);
    this.#schedule(stream);
  }

  /** Queues bytes. False asks the writer to pause until a `writable` event. */
  write(nowMs: number, id: number, chunk: Uint8Array): boolean {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.sendEnded) return true;
    stream.send.push(chunk);
    this.#sendPool.take(chunk.length);
    this.#schedule(stream);
    return this.#paused.mayGoOn(nowMs, stream);
  }

  /** Whether the stream's writer may begin; if not it gets a `writable` event. */
  mayWrite(nowMs: number, id: number): boolean {
    const stream = this.#streams.get(id);
    return stream === undefined || this.#paused.mayGoOn(nowMs, stream);
  }

  /** Half-closes this side's direction once everything written was sent. */
  end(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.sendEnded) return;
    stream.sendEnded = true;
    this.#schedule(stream);
  }

  /** The local end gave up the stream, or refuses it. Unsent bytes are dropped. */
  reset(id: number, code: StreamCode, reason: string): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#writer.reset(id, stream.send.sent, code, reason);
    this.#remove(stream);
  }

  /** `bytes` more were written to the stream's destination. */
  delivered(nowMs: number, id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || bytes === 0) return;
    this.#undelivered -= bytes;
    if (stream.receive.deliver(nowMs, bytes, this.#heartbeat.rttMinMs)) {
      if (stream.phase === 'open') this.#credit(stream);
    } else {
      this.#acks.add(nowMs, stream);
    }
  }

  /** The peer's half-close was passed on to the destination. */
  finDelivered(id: number): void {
    const stream = this.#streams.get(id);
    if (stream?.finalSize === undefined || stream.finDelivered) return;
    stream.finDelivered = true;
    if (stream.phase === 'open') this.#credit(stream);
    this.#settle(stream);
  }

  /** Appends one stream's turn to `out`; false when no stream has anything to send. */
  sendTurn(out: Uint8Array[]): boolean {
    const stream = this.#scheduler.next();
    if (stream === undefined) return false;
    // A stream may have gone, or lost its reason to send, while it waited.
    if (this.#streams.get(stream.id) !== stream) return true;
    const length = Math.min(stream.sendableBytes, TURN_BYTES_MAX);
    if (length > 0) this.#sendData(stream, length, out);
    if (stream.finDue) {
      stream.finSent = true;
      this.#writer.fin(stream.id, stream.send.written);
    }
    this.#schedule(stream);
    return true;
  }

  #sendData(stream: Stream, length: number, out: Uint8Array[]): void {
    const offset = stream.send.sent;
    if (length <= COPIED_BYTES_MAX) {
      const parts: Uint8Array[] = [];
      stream.send.take(length, parts);
      this.#writer.data(stream.id, offset, length, parts);
    } else {
      this.#writer.dataHeader(stream.id, offset, length);
      this.#writer.drainTo(out);
      stream.send.take(length, out);
    }
    this.totals.bytesSent += length;
  }

  handleTimeout(nowMs: number): void {
    for (const stream of this.#acks.takeDue(nowMs)) {
      const live = this.#streams.get(stream.id) === stream;
      if (live && stream.phase === 'open' && stream.receive.ackDue) this.#credit(stream);
    }
    this.#paused.handleTimeout(nowMs);
  }

  handleData(id: number, offset: number, bytes: Uint8Array): void {
    const stream = this.#expect(id, FrameType.DATA);
    if (stream === undefined) return;
    if (stream.finalSize !== undefined) {
      throw new ProtocolError('final-size', `DATA after FIN on stream ${id}`);
    }
    stream.receive.receive(offset, bytes.length);
    this.#undelivered += bytes.length;
    this.totals.bytesReceived += bytes.length;
    this.#events.push({ kind: 'data', stream: id, bytes });
  }

  handleFrame(nowMs: number, header: FrameHeader, payload: Uint8Array): void {
    switch (header.type) {
      case FrameType.OPEN:
        this.#handleOpen(nowMs, header, payload);
        break;
      case FrameType.ACCEPT:
        this.#handleAccept(nowMs, header, payload);
        break;
      case FrameType.FIN:
        this.#handleFin(header);
        break;
      case FrameType.RESET:
        this.#handleReset(header, payload);
        break;
      default:
        this.#handleCredit(nowMs, header, payload);
    }
  }

  /** Ends every stream with a `reset` event. */
  resetAll(code: StreamCode, reason: string): void {
    for (const stream of [...this.#streams.values()]) {
      this.#remove(stream);
      this.#events.push({ kind: 'reset', stream: stream.id, code, reason });
    }
    this.#acks.clear();
    this.#sendPool.detach();
  }

  #handleOpen(nowMs: number, header: FrameHeader, payload: Uint8Array): void {
    const id = header.stream;
    if (id <= this.#lastRemoteId || (id - this.#lastRemoteId) % 2 !== 0) {
      throw new ProtocolError('stream-id', `OPEN of stream ${id} after ${this.#lastRemoteId}`);
    }
    this.#lastRemoteId = id;
    const request = parseOpen(payload);
    if (this.#draining) {
      this.#writer.reset(id, 0, 'draining', 'this node is draining');
      return;
    }
    const receive = this.#newWindow(nowMs);
    if (receive === undefined) {
      this.#writer.reset(id, 0, 'overload', this.#overloadReason());
      return;
    }
    this.#streams.set(id, new Stream(id, 'incoming', receive, header.offset));
    this.totals.opened++;
    if (request.versions.some((version) => STREAM_VERSIONS.includes(version))) {
      this.#events.push({ kind: 'opened', stream: id, request });
    } else {
      this.reset(id, 'unsupported-protocol', `stream versions ${STREAM_VERSIONS.join(', ')}`);
    }
  }

  #handleAccept(nowMs: number, header: FrameHeader, payload: Uint8Array): void {
    const stream = this.#expect(header.stream, FrameType.ACCEPT);
    if (stream === undefined) return;
    const accept = parseAccept(payload);
    if (!STREAM_VERSIONS.includes(accept.version)) {
      throw new ProtocolError('frame-payload', `ACCEPT with version ${accept.version}`);
    }
    stream.phase = 'open';
    this.#events.push({ kind: 'accepted', stream: stream.id });
    this.#raiseCredit(nowMs, stream, header.offset);
  }

  #handleFin(header: FrameHeader): void {
    const stream = this.#expect(header.stream, FrameType.FIN);
    if (stream === undefined) return;
    if (stream.finalSize !== undefined || header.offset !== stream.receive.received) {
      throw new ProtocolError(
        'final-size',
        `FIN at ${header.offset} on stream ${stream.id}, received ${stream.receive.received}`,
      );
    }
    stream.finalSize = header.offset;
    this.#events.push({ kind: 'fin', stream: stream.id });
  }

  #handleReset(header: FrameHeader, payload: Uint8Array): void {
    const stream = this.#expect(header.stream, FrameType.RESET);
    if (stream === undefined) return;
    const { received, limit } = stream.receive;
    const size = header.offset;
    if (size < received || size > limit || size !== (stream.finalSize ?? size)) {
      throw new ProtocolError(
        'final-size',
        `RESET at ${size} on stream ${stream.id}, received ${received}, credit ends at ${limit}`,
      );
    }
    this.#remove(stream);
    this.#events.push({ kind: 'reset', stream: stream.id, ...parseReset(payload) });
  }

  #handleCredit(nowMs: number, header: FrameHeader, payload: Uint8Array): void {
    const stream = this.#expect(header.stream, FrameType.CREDIT);
    if (stream === undefined) return;
    const delivered = parseNumber(payload, 0);
    if (delivered < stream.send.acked || delivered > stream.send.sent) {
      throw new ProtocolError(
        'credit-regressed',
        `delivered ${delivered} on stream ${stream.id}, acknowledged ${stream.send.acked}, sent ${stream.send.sent}`,
      );
    }
    if (delivered > stream.send.acked) {
      this.#sendPool.release(stream.send.ack(delivered));
      this.#heartbeat.outboundProof(nowMs);
    }
    if ((header.flags & FLAG_FIN_DELIVERED) !== 0) {
      if (!stream.finSent || delivered !== stream.send.written) {
        throw new ProtocolError('final-size', `FIN acknowledged early on stream ${stream.id}`);
      }
      stream.finAcked = true;
    }
    this.#raiseCredit(nowMs, stream, header.offset);
    this.#settle(stream);
  }

  #raiseCredit(nowMs: number, stream: Stream, limit: number): void {
    if (limit < stream.creditLimit) {
      throw new ProtocolError(
        'credit-regressed',
        `credit ${limit} after ${stream.creditLimit} on stream ${stream.id}`,
      );
    }
    stream.creditLimit = limit;
    this.#schedule(stream);
    this.#paused.credited(nowMs, stream);
  }

  /** The stream a frame is for; undefined when it closed already, which is no fault of the peer. */
  #expect(id: number, type: FrameType): Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream !== undefined) {
      stream.expect(type);
      return stream;
    }
    const known = (id - this.#nextLocalId) % 2 === 0 ? this.#nextLocalId - 2 : this.#lastRemoteId;
    if (id > known) throw new ProtocolError('stream-id', `stream ${id} was never opened`);
    return undefined;
  }

  #newWindow(nowMs: number): ReceiveWindow | undefined {
    if (this.#streams.size >= this.#options.streams) return undefined;
    if (!this.#receivePool.tryTake(WINDOW_BYTES_MIN)) return undefined;
    const { streamWindow } = this.#options;
    return new ReceiveWindow(WINDOW_BYTES_MIN, streamWindow, this.#receivePool, nowMs);
  }

  #overloadReason(): string {
    return this.#streams.size >= this.#options.streams
      ? `${this.#streams.size} streams are open, the limit is ${this.#options.streams}`
      : 'the buffer budget is used up';
  }

  #schedule(stream: Stream): void {
    if (stream.phase === 'incoming') return;
    if (stream.hasToSend) this.#scheduler.add(stream);
  }

  #credit(stream: Stream): void {
    stream.receive.grant();
    const flags = stream.finDelivered ? FLAG_FIN_DELIVERED : 0;
    this.#writer.credit(stream.id, stream.receive.limit, stream.receive.delivered, flags);
  }

  #settle(stream: Stream): void {
    if (!stream.settled) return;
    this.#remove(stream);
    this.#events.push({ kind: 'finished', stream: stream.id });
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream.id);
    this.#paused.forget(stream);
    this.#undelivered -= stream.undeliveredBytes;
    this.#sendPool.release(stream.send.drop());
    stream.receive.close();
  }
}
