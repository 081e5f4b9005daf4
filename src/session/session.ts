import type { RoutyError } from '../base/errors.ts';
import type { LaneCode, StreamCode } from '../wire/codes.ts';
import { FrameDecoder, type FrameHeader } from '../wire/decode.ts';
import { FrameWriter } from '../wire/frame-writer.ts';
import { FrameType, frameName } from '../wire/layout.ts';
import {
  type Hello,
  type OpenPayload,
  parseClose,
  parseHello,
  parseNumber,
  parseOffers,
} from '../wire/payload.ts';
import { ProtocolError } from '../wire/protocol-error.ts';
import { EventQueue, type SessionEvent } from './events.ts';
import { judgeHello, makeHello } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import type { SessionOptions } from './options.ts';
import { type OpenResult, StreamTable, type StreamTotals } from './stream-table.ts';

/** Encoded frames that wait for a lane that takes nothing; more means the peer floods this side. */
const CONTROL_BYTES_MAX = 16 * 1024 * 1024;

type Phase = 'hello' | 'admitting' | 'established' | 'closed';

/**
 * A session's protocol without IO: bytes, time and commands go in; bytes, a timeout and events
 * come out. `nowMs` is a monotonic clock in milliseconds, fractions allowed, and never runs back.
 *
 * After every call the driver takes all of `pollEvent`, then `pollTransmit` as far as the lane
 * takes bytes, and sets one timer to `pollTimeout`.
 */
export class Session {
  /** Wall clock minus `nowMs`, in ms; the driver sets it when it looks at its clocks. */
  wallOffsetMs = 0;
  readonly #options: SessionOptions;
  readonly #events = new EventQueue();
  readonly #writer = new FrameWriter();
  readonly #decoder: FrameDecoder;
  readonly #heartbeat: Heartbeat;
  readonly #streams: StreamTable;
  readonly #handshakeDeadlineMs: number;
  #phase: Phase = 'hello';
  #nowMs: number;
  #peerHello: Hello | undefined;
  #peerDraining = false;
  #closeSent = false;

  constructor(options: SessionOptions, nowMs: number, wallOffsetMs: number) {
    this.#options = options;
    this.#nowMs = nowMs;
    this.wallOffsetMs = wallOffsetMs;
    this.#handshakeDeadlineMs = nowMs + options.handshakeTimeoutMs;
    this.#heartbeat = new Heartbeat(options.heartbeatIntervalMs, options.heartbeatMisses, nowMs);
    this.#streams = new StreamTable(options, this.#events, this.#writer, this.#heartbeat);
    this.#decoder = new FrameDecoder({
      onFrame: (header, payload) => this.#handleFrame(header, payload),
      onData: (stream, offset, bytes) => this.#handleData(stream, offset, bytes),
    });
    if (options.role === 'dialler') this.#sayHello({ id: options.sessionId, epoch: options.epoch });
  }

  get established(): boolean {
    return this.#phase === 'established';
  }

  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** True once the peer said that it takes no new streams. */
  get peerDraining(): boolean {
    return this.#peerDraining;
  }

  get rttMs(): number | undefined {
    return this.#heartbeat.rttMs;
  }

  /** Peer's wall clock minus this side's. */
  get clockOffsetMs(): number | undefined {
    return this.#heartbeat.clockOffsetMs;
  }

  /** Streams open now. */
  get streamCount(): number {
    return this.#streams.size;
  }

  get bufferedBytes(): number {
    return this.#streams.bufferedBytes;
  }

  get totals(): Readonly<StreamTotals> {
    return this.#streams.totals;
  }

  /** Bytes from the lane. */
  handleBytes(nowMs: number, chunk: Uint8Array): void {
    if (this.#phase === 'closed') return;
    this.#nowMs = nowMs;
    this.#heartbeat.inboundProof(nowMs);
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(nowMs, error.laneCode, `${error.code}: ${error.message}`);
    }
    if (this.#writer.pendingBytes > CONTROL_BYTES_MAX) {
      this.close(nowMs, 'overload', 'the peer asks faster than it reads the answers');
    }
  }

  /** The lane is gone; nothing can be sent any more. */
  handleLaneClosed(_nowMs: number, reason: string): void {
    this.#finish('lane-lost', reason, false);
  }

  handleTimeout(nowMs: number): void {
    if (this.#phase === 'closed') return;
    this.#nowMs = nowMs;
    if (this.#phase !== 'established') {
      if (nowMs >= this.#handshakeDeadlineMs) {
        this.close(nowMs, 'handshake-timeout', 'no HELLO from the peer in time');
      }
      return;
    }
    const dead = this.#heartbeat.deadReason(nowMs);
    if (dead !== undefined) {
      this.#finish('heartbeat-timeout', dead, false);
      return;
    }
    if (this.#heartbeat.pingDue(nowMs)) this.ping(nowMs);
    this.#streams.handleTimeout(nowMs);
  }

  /** When `handleTimeout` wants to be called, on the clock of `nowMs`; undefined for never. */
  pollTimeout(): number | undefined {
    if (this.#phase === 'closed') return undefined;
    if (this.#phase !== 'established') return this.#handshakeDeadlineMs;
    return Math.min(this.#heartbeat.deadlineMs, this.#streams.deadlineMs ?? Infinity);
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  /**
   * Buffers for the lane, in order, about `bytesMax` in all; undefined when there is nothing to
   * send. Control frames come first, then streams in turn. The buffers must not be changed.
   */
  pollTransmit(bytesMax: number): Uint8Array[] | undefined {
    if (this.#writer.pendingBytes === 0 && !this.#streams.hasToSend) return undefined;
    const out: Uint8Array[] = [];
    const before = this.#streams.totals.bytesSent;
    const controlBytes = this.#writer.pendingBytes;
    this.#writer.drainTo(out);
    while (this.#streams.totals.bytesSent - before + controlBytes < bytesMax) {
      if (!this.#streams.sendTurn(out)) break;
    }
    this.#writer.drainTo(out);
    return out.length > 0 ? out : undefined;
  }

  /** Acceptor: lets the dialler in, in answer to the `hello` event. */
  admit(nowMs: number): void {
    if (this.#phase !== 'admitting') return;
    this.#nowMs = nowMs;
    this.#sayHello(this.#peerHello!.session);
    this.#establish();
  }

  /** Opens a stream; its bytes may be written at once. */
  open(nowMs: number, request: OpenPayload): OpenResult {
    if (this.#phase !== 'established') {
      return { ok: false, code: 'session-lost', reason: 'the session is not established' };
    }
    if (this.#peerDraining) {
      return { ok: false, code: 'draining', reason: 'the peer is draining' };
    }
    return this.#streams.open(nowMs, request);
  }

  accept(stream: number): void {
    this.#streams.accept(stream);
  }

  /** Queues bytes, which the session keeps. False: pause until a `writable` event. */
  write(nowMs: number, stream: number, chunk: Uint8Array): boolean {
    return this.#streams.write(nowMs, stream, chunk);
  }

  /** Whether the stream may be written to already; if not it gets a `writable` event. */
  mayWrite(nowMs: number, stream: number): boolean {
    return this.#streams.mayWrite(nowMs, stream);
  }

  /** Half-closes: FIN follows the bytes written so far. */
  end(stream: number): void {
    this.#streams.end(stream);
  }

  reset(stream: number, code: StreamCode, reason: string): void {
    this.#streams.reset(stream, code, reason);
  }

  /** `bytes` more of the stream were written to its destination. */
  delivered(nowMs: number, stream: number, bytes: number): void {
    this.#streams.delivered(nowMs, stream, bytes);
  }

  /** The stream's destination was half-closed after a `fin` event. */
  finDelivered(stream: number): void {
    this.#streams.finDelivered(stream);
  }

  /** Tells the peer the complete list of services it may open. */
  offer(services: readonly string[]): void {
    if (this.#phase === 'established') this.#writer.json(FrameType.OFFERS, 0, 0, services);
  }

  /**
   * Sends a PING; its `pong` event carries the sequence number returned here. Without an
   * established session nothing is sent and the number is 0, which no event carries.
   */
  ping(nowMs: number): number {
    if (this.#phase !== 'established') return 0;
    const sequence = this.#heartbeat.ping(nowMs);
    this.#writer.ping(sequence, this.#wallUs(nowMs));
    return sequence;
  }

  /** Takes no new streams of the peer from now on, and says so. */
  drain(): void {
    if (this.#phase !== 'established') return;
    this.#streams.drain();
    this.#writer.goaway();
  }

  /** Ends the session: streams are reset, and CLOSE is the last frame sent. */
  close(_nowMs: number, code: LaneCode, reason: string): void {
    if (this.#phase === 'closed') return;
    if (!this.#closeSent) this.#writer.close(code, reason);
    this.#closeSent = true;
    this.#finish(code, reason, false);
  }

  #handleData(stream: number, offset: number, bytes: Uint8Array): void {
    if (this.#phase === 'closed') return;
    if (this.#phase !== 'established') throw this.#outOfOrder(FrameType.DATA);
    this.#streams.handleData(stream, offset, bytes);
  }

  #handleFrame(header: FrameHeader, payload: Uint8Array): void {
    if (this.#phase === 'closed') return;
    if (header.type === FrameType.CLOSE) {
      const { code, reason } = parseClose(payload);
      this.#finish(code, reason, true);
    } else if (header.type === FrameType.HELLO) {
      this.#handleHello(payload);
    } else if (this.#phase !== 'established') {
      throw this.#outOfOrder(header.type);
    } else if (header.stream !== 0) {
      this.#streams.handleFrame(this.#nowMs, header, payload);
    } else {
      this.#handleSessionFrame(header, payload);
    }
  }

  #handleSessionFrame(header: FrameHeader, payload: Uint8Array): void {
    switch (header.type) {
      case FrameType.PING: {
        const wallUs = this.#wallUs(this.#nowMs);
        this.#writer.pong(header.offset, parseNumber(payload, 0), wallUs, wallUs);
        break;
      }
      case FrameType.PONG:
        this.#handlePong(header.offset, payload);
        break;
      case FrameType.OFFERS:
        this.#events.push({ kind: 'offers', services: parseOffers(payload) });
        break;
      default:
        this.#peerDraining = true;
        this.#events.push({ kind: 'draining' });
    }
  }

  #handlePong(sequence: number, payload: Uint8Array): void {
    const sample = this.#heartbeat.pong(
      this.#nowMs,
      sequence,
      parseNumber(payload, 0),
      parseNumber(payload, 1),
      parseNumber(payload, 2),
      this.#wallUs(this.#nowMs),
    );
    if (sample !== undefined) this.#events.push({ kind: 'pong', ...sample });
  }

  #handleHello(payload: Uint8Array): void {
    if (this.#phase !== 'hello') throw this.#outOfOrder(FrameType.HELLO);
    const hello = parseHello(payload);
    this.#peerHello = hello;
    const judged = judgeHello(this.#options, hello);
    if ('code' in judged) {
      // The peer gets this side's HELLO too: it can then name both values from its own point of view.
      if (this.#options.role === 'acceptor') this.#sayHello(hello.session);
      this.close(this.#nowMs, judged.code, judged.reason);
    } else if (this.#options.role === 'dialler') {
      this.#establish();
    } else {
      this.#phase = 'admitting';
      this.#events.push({ kind: 'hello', hello });
    }
  }

  #establish(): void {
    const hello = this.#peerHello!;
    this.#phase = 'established';
    this.#streams.start(hello.initialWindow);
    this.#events.push({ kind: 'established', hello });
    // While an acceptor deliberated, the dialler had to be silent.
    this.#heartbeat.inboundProof(this.#nowMs);
    this.#heartbeat.outboundProof(this.#nowMs);
    this.ping(this.#nowMs);
  }

  #sayHello(session: { readonly id: string; readonly epoch: number }): void {
    const hello = makeHello(this.#options, session, this.#wallUs(this.#nowMs));
    this.#writer.json(FrameType.HELLO, 0, 0, hello);
  }

  #finish(code: LaneCode, reason: string, remote: boolean): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#streams.resetAll('session-lost', reason);
    this.#events.push({ kind: 'closed', code, reason, remote });
  }

  #wallUs(nowMs: number): number {
    return Math.max(0, Math.round((nowMs + this.wallOffsetMs) * 1000));
  }

  #outOfOrder(type: number): RoutyError {
    return new ProtocolError('frame-order', `${frameName(type)} while ${this.#phase}`);
  }
}
