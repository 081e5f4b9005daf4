import type { LaneCode, StreamCode } from '../wire/codes.ts';
import type { FrameHeader } from '../wire/frame-decoder.ts';
import { FrameType } from '../wire/layout.ts';
import { type Agreement, type Hello, type OpenPayload, parseClose } from '../wire/payload.ts';
import { EventQueue, type SessionEvent } from './events.ts';
import { failureOf } from './failure.ts';
import { LaneKeeper, type LaneOwner } from './lane-keeper.ts';
import { commonCapabilities, makeHello, type Prove, type Refusal } from './lanes/handshake.ts';
import { LaneAdmission } from './lanes/lane-admission.ts';
import { PLAIN } from './negotiation.ts';
import { Offers } from './offers.ts';
import type { SessionOptions } from './options.ts';
import { Overhead } from './overhead.ts';
import { PingTracker } from './ping-tracker.ts';
import { Resync } from './resume/resync.ts';
import { type LaneFacts, LaneSet } from './streams/lane-set.ts';
import type { StreamLane } from './streams/stream.ts';
import { type OpenResult, StreamCommands } from './streams/stream-commands.ts';
import { type Absorb, StreamReceiver } from './streams/stream-receiver.ts';
import { StreamSender } from './streams/stream-sender.ts';
import {
  type SessionMemory,
  type SessionShare,
  StreamTable,
  type StreamTotals,
} from './streams/stream-table.ts';

/**
 * A session's protocol without IO: bytes, time and commands go in; bytes, a timeout and events
 * come out. `nowMs` is a monotonic clock in milliseconds, fractions allowed, and never runs back.
 * A session has lanes, each named by its id, and outlives them. After every call the driver takes
 * all of `pollEvent`, then `pollTransmit` of every lane as far as the lane takes bytes, and sets one
 * timer to `pollTimeout`.
 */
export class Session {
  /** Wall clock minus `nowMs`, in ms; the driver sets it when it looks at its clocks. */
  wallOffsetMs: number;
  readonly #options: SessionOptions;
  readonly #events = new EventQueue();
  readonly #lanes = new LaneSet();
  readonly #store: StreamTable;
  readonly #streams: StreamCommands;
  readonly #sender: StreamSender;
  readonly #receiver: StreamReceiver;
  readonly #resync: Resync;
  readonly #admission: LaneAdmission;
  readonly #pings: PingTracker;
  readonly #offers = new Offers();
  readonly #overhead: Overhead;
  readonly #keeper: LaneKeeper;
  #phase: 'new' | 'established' | 'closed' = 'new';
  #nowMs: number;
  #peerDraining = false;

  constructor(options: SessionOptions, nowMs: number, wallOffsetMs: number) {
    this.#options = options;
    this.#nowMs = nowMs;
    this.wallOffsetMs = wallOffsetMs;
    this.#admission = new LaneAdmission(options);
    this.#store = new StreamTable(options, this.#events, this.#lanes);
    this.#sender = new StreamSender(this.#store);
    this.#receiver = new StreamReceiver(this.#store, this.#sender);
    this.#resync = new Resync(this.#store, this.#sender, this.#receiver);
    this.#pings = new PingTracker(this.#lanes, this.#resync, this.#events);
    this.#streams = new StreamCommands(this.#store, this.#sender, (code, reason) => {
      this.#finish(code, reason, false);
    });
    this.#overhead = new Overhead(this.#store, this.#lanes, this.#offers);
    this.#keeper = new LaneKeeper(options, this.#lanes, this.#events, this.#laneOwner(), nowMs);
  }

  /** True from the first lane on until the end, also while no lane carries the session. */
  get established(): boolean {
    return this.#phase === 'established';
  }

  get suspended(): boolean {
    return this.established && this.#keeper.suspended;
  }

  get closed(): boolean {
    return this.#phase === 'closed';
  }

  /** True once the peer said that it takes no new streams. */
  get peerDraining(): boolean {
    return this.#peerDraining;
  }

  /** Of the lane with the shortest path; undefined without a lane or a measurement. */
  get rttMs(): number | undefined {
    return this.#pings.nearest?.heartbeat.rttMs;
  }

  /** Peer's wall clock minus this side's. */
  get clockOffsetMs(): number | undefined {
    return this.#pings.nearest?.heartbeat.clockOffsetMs;
  }

  /** Streams open now. */
  get streamCount(): number {
    return this.#store.size;
  }

  /** Bytes held for sending or replay plus bytes received and not delivered. */
  get bufferedBytes(): number {
    return this.#store.sendPool.used + this.#store.undeliveredBytes;
  }

  get totals(): Readonly<StreamTotals> {
    return this.#store.totals;
  }

  /** What of the budgets the session has, and what it may have. */
  get share(): SessionShare {
    return this.#store.share;
  }

  /** Lanes that carry the session. */
  get laneCount(): number {
    return this.#lanes.established.length;
  }

  lanes(): LaneFacts[] {
    return this.#lanes.facts();
  }

  memory(): SessionMemory {
    return this.#store.memory();
  }

  /** Dialler: a new lane, whose HELLO is the first thing to transmit. Returns its id. */
  dial(nowMs: number, prove: Prove): number {
    this.#nowMs = nowMs;
    const session = this.#admission.next(prove);
    this.#sayHello(this.#keeper.add(nowMs, session.epoch, prove), session);
    return session.epoch;
  }

  /** Acceptor: why the lane of this HELLO may not join the session; undefined when it may. */
  judge(hello: Hello, prove: Prove): Refusal | undefined {
    if (this.closed) return { code: 'unknown-session', reason: 'the session has ended' };
    return this.#admission.judge(hello.session, prove);
  }

  /** Acceptor: the lane of a HELLO that was judged joins. Returns its id. */
  admit(nowMs: number, hello: Hello, prove: Prove): number {
    this.#nowMs = nowMs;
    if (this.#lanes.full) {
      this.#loseLane(this.#lanes.all()[0]!, 'lane-done', 'the session has too many lanes', false);
    }
    const session = this.#admission.admit(hello.session, prove);
    const lane = this.#keeper.add(nowMs, session.epoch, prove);
    this.#sayHello(lane, session);
    this.#establish(lane, hello);
    return session.epoch;
  }

  /** Bytes from a lane, which are the session's to keep, or with `absorb` lent to it until this returns. */
  handleBytes(nowMs: number, laneId: number, chunk: Uint8Array, absorb?: Absorb): void {
    this.#nowMs = nowMs;
    this.#receiver.absorb = absorb;
    const lane = this.#lanes.get(laneId);
    if (lane === undefined) return;
    this.#keeper.heard(nowMs, lane);
    try {
      lane.decoder.push(chunk);
    } catch (error) {
      const { code, reason, isDefect } = failureOf(error);
      if (isDefect || (lane.established && !lane.closed)) this.close(nowMs, code, reason);
      else if (!lane.closed) this.#loseLane(lane, code, reason, false);
    }
    const excess = lane.closed ? undefined : this.#overhead.excess(lane, chunk.length);
    if (excess !== undefined) this.close(nowMs, 'overload', excess);
  }

  /** The lane is gone; nothing can be sent on it any more. */
  handleLaneClosed(nowMs: number, laneId: number, reason: string): void {
    this.#nowMs = nowMs;
    const lane = this.#lanes.get(laneId);
    if (lane !== undefined) this.#loseLane(lane, 'lane-lost', reason, false);
  }

  /** Gives up a lane in order; its streams move to others. */
  closeLane(nowMs: number, laneId: number, reason: string): void {
    this.#nowMs = nowMs;
    const lane = this.#lanes.get(laneId);
    if (lane !== undefined) this.#loseLane(lane, 'lane-done', reason, false);
  }

  handleTimeout(nowMs: number): void {
    if (this.closed) return;
    this.#nowMs = nowMs;
    this.#keeper.handleTimeout(nowMs);
    if (!this.closed) this.#streams.handleTimeout(nowMs);
  }

  /** When `handleTimeout` wants to be called, on the clock of `nowMs`; undefined for never. */
  pollTimeout(): number | undefined {
    if (this.closed) return undefined;
    const atMs = Math.min(this.#streams.deadlineMs ?? Infinity, this.#keeper.deadlineMs);
    return atMs === Infinity ? undefined : atMs;
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  /**
   * Buffers for a lane, in order, about `bytesMax` in all; undefined when there is nothing to
   * send. Control frames come first, then streams in turn. The buffers must not be changed.
   */
  pollTransmit(laneId: number, bytesMax: number): Uint8Array[] | undefined {
    const lane = this.#lanes.get(laneId);
    if (!lane?.hasToSend) return undefined;
    if (this.#store.tombstones.wantsPing(laneId)) this.#ping(lane);
    const out: Uint8Array[] = [];
    const controlBytes = lane.writer.pendingBytes;
    lane.writer.drainTo(out);
    if (lane.established) this.#streams.transmit(lane, bytesMax - controlBytes, out);
    lane.writer.drainTo(out);
    return out.length > 0 && !lane.closed ? out : undefined;
  }

  /** Opens a stream; its bytes may be written at once. */
  open(nowMs: number, request: OpenPayload): OpenResult {
    if (!this.established) {
      return { ok: false, code: 'session-lost', reason: 'the session is not established' };
    }
    if (this.#peerDraining) {
      return { ok: false, code: 'draining', reason: 'the peer is draining' };
    }
    return this.#streams.open(nowMs, request);
  }

  /** Takes a stream of the peer's. To pick what it does not offer breaks an invariant. */
  accept(stream: number, picked: Agreement = PLAIN): void {
    this.#streams.accept(stream, picked);
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

  /** Tells the peer the complete list of services it may open. Returns how many did not fit in. */
  offer(services: readonly string[]): number {
    return this.established ? this.#offers.set(services, this.#lanes.established[0]) : 0;
  }

  /** Sends a PING; its `pong` event carries the number returned here. Without a lane that is 0. */
  ping(nowMs: number): number {
    this.#nowMs = nowMs;
    const lane = this.#pings.nearest;
    return lane === undefined ? 0 : this.#ping(lane);
  }

  /** Takes no new streams of the peer from now on, and says so. */
  drain(): void {
    if (!this.established) return;
    this.#store.draining = true;
    this.#lanes.established[0]?.writer.goaway();
  }

  /** Ends the session: streams are reset, and CLOSE is the last frame sent on every lane. */
  close(nowMs: number, code: LaneCode, reason: string): void {
    if (this.closed) return;
    this.#nowMs = nowMs;
    this.#finish(code, reason, false);
  }

  #laneOwner(): LaneOwner {
    return {
      framesOf: (lane) => ({
        onFrame: (header, payload) => this.#handleFrame(lane, header, payload),
        onData: (stream, offset, bytes) => this.#handleData(lane, stream, offset, bytes),
      }),
      ping: (lane) => this.#ping(lane),
      onLost: (lane, other) => {
        this.#resync.laneLost(lane);
        if (other === undefined) return;
        this.#sayResume(other);
        this.#ping(other);
      },
      onAbandoned: (code, reason, remote) => this.#finish(code, reason, remote),
    };
  }

  #handleData(lane: StreamLane, stream: number, offset: number, bytes: Uint8Array): void {
    if (lane.closed) return;
    if (!lane.established) throw lane.outOfOrder(FrameType.DATA);
    this.#receiver.data(this.#nowMs, stream, offset, bytes);
  }

  #handleFrame(lane: StreamLane, header: FrameHeader, payload: Uint8Array): void {
    if (lane.closed) return;
    if (header.type === FrameType.CLOSE) {
      this.#closedByPeer(lane, parseClose(payload));
    } else if (header.type === FrameType.HELLO) {
      this.#handleAnswer(lane, payload);
    } else if (!lane.established) {
      throw lane.outOfOrder(header.type);
    } else if (header.stream !== 0) {
      this.#receiver.frame(this.#nowMs, lane, header, payload);
    } else {
      this.#handleSessionFrame(lane, header, payload);
    }
  }

  #handleSessionFrame(lane: StreamLane, header: FrameHeader, payload: Uint8Array): void {
    switch (header.type) {
      case FrameType.PING:
        this.#pings.answer(this.#wallUs(), lane, header, payload);
        break;
      case FrameType.PONG:
        this.#pings.answered(this.#nowMs, this.#wallUs(), lane, header, payload);
        break;
      case FrameType.OFFERS:
        this.#offers.hear(lane, header, payload, this.#events);
        break;
      case FrameType.RESUME:
        this.#handleResume(lane, header.flags, payload);
        break;
      default:
        if (!this.#peerDraining) this.#events.push({ kind: 'draining' });
        this.#peerDraining = true;
    }
  }

  #handleResume(lane: StreamLane, flags: number, payload: Uint8Array): void {
    this.#resync.hear(this.#nowMs, lane, flags, payload, (laneId) => {
      const lost = this.#lanes.get(laneId);
      this.#admission.bury(laneId);
      if (lost !== undefined) this.#loseLane(lost, 'lane-lost', 'the peer has lost it', true);
    });
  }

  /** Dialler: the acceptor's HELLO on one of its lanes. */
  #handleAnswer(lane: StreamLane, payload: Uint8Array): void {
    if (lane.established) throw lane.outOfOrder(FrameType.HELLO);
    const answer = this.#admission.readAnswer(payload, lane.id, lane.prove);
    if ('code' in answer) this.#loseLane(lane, answer.code, answer.reason, false);
    else this.#establish(lane, answer);
  }

  #establish(lane: StreamLane, hello: Hello): void {
    if (this.#phase === 'new') {
      this.#phase = 'established';
      this.#store.peerInitialWindow = hello.initialWindow;
      const capabilities = commonCapabilities(this.#options, hello);
      this.#events.push({ kind: 'established', hello, capabilities });
    }
    this.#keeper.establish(this.#nowMs, lane);
    if (this.#resync.owed) this.#sayResume(lane);
    this.#sender.share(lane);
    this.#ping(lane);
  }

  /** Says again all that may have been lost with a lane. */
  #sayResume(lane: StreamLane): void {
    this.#resync.say(lane);
    this.#offers.say(lane);
    if (this.#store.draining) lane.writer.goaway();
  }

  #sayHello({ writer }: StreamLane, session: Hello['session']): void {
    writer.json(FrameType.HELLO, 0, 0, makeHello(this.#options, session, this.#wallUs()));
  }

  #ping(lane: StreamLane): number {
    return this.#pings.ping(this.#nowMs, this.#wallUs(), lane);
  }

  #closedByPeer(lane: StreamLane, { code, reason }: ReturnType<typeof parseClose>): void {
    const endsLane = lane.established ? code === 'lane-done' : code !== 'unknown-session';
    if (endsLane) this.#loseLane(lane, code, reason, true);
    else this.#finish(code, reason, true);
  }

  #loseLane(lane: StreamLane, code: LaneCode, reason: string, remote: boolean): void {
    this.#keeper.lose(this.#nowMs, lane, code, reason, remote);
  }

  #finish(code: LaneCode, reason: string, remote: boolean): void {
    if (this.closed) return;
    this.#phase = 'closed';
    this.#store.resetAll('session-lost', reason);
    this.#overhead.close();
    for (const lane of this.#lanes.all()) this.#keeper.end(lane, code, reason, remote);
    this.#events.push({ kind: 'closed', code, reason, remote });
  }

  #wallUs(): number {
    return Math.max(0, Math.round((this.#nowMs + this.wallOffsetMs) * 1000));
  }
}
