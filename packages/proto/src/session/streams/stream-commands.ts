import { invariant } from '../../base/errors.ts';
import type { LaneCode, StreamCode } from '../../wire/codes.ts';
import type { Agreement, OpenPayload } from '../../wire/payload.ts';
import { failureOf } from '../failure.ts';
import { agreementFault } from '../negotiation.ts';
import type { Stream, StreamLane } from './stream.ts';
import type { StreamSender } from './stream-sender.ts';
import type { StreamTable } from './stream-table.ts';

export type OpenResult =
  | { readonly ok: true; readonly stream: number }
  | { readonly ok: false; readonly code: StreamCode; readonly reason: string };

/**
 * What the owner of a session does with its streams. An invariant that is broken meanwhile does not
 * reach the owner: it ends the session.
 */
export class StreamCommands {
  readonly #store: StreamTable;
  readonly #sender: StreamSender;
  readonly #onDefect: (code: LaneCode, reason: string) => void;

  constructor(
    store: StreamTable,
    sender: StreamSender,
    onDefect: (code: LaneCode, reason: string) => void,
  ) {
    this.#store = store;
    this.#sender = sender;
    this.#onDefect = onDefect;
  }

  get deadlineMs(): number | undefined {
    const ackAtMs = this.#store.acks.deadlineMs;
    const retryAtMs = this.#store.paused.deadlineMs;
    if (ackAtMs === undefined || retryAtMs === undefined) return ackAtMs ?? retryAtMs;
    return Math.min(ackAtMs, retryAtMs);
  }

  /** Without a lane OPEN waits for one. */
  open(nowMs: number, request: OpenPayload): OpenResult {
    const refusal = this.#store.idRefusal;
    if (refusal !== undefined) return { ok: false, code: 'overload', reason: refusal };
    const stream = this.#store.openLocal(nowMs, request);
    if (stream === undefined) {
      return { ok: false, code: 'overload', reason: this.#store.overloadReason() };
    }
    this.#store.lanes.settle(stream, this.#store.lanes.leastLoaded());
    this.#sender.open(stream);
    return { ok: true, stream: stream.id };
  }

  accept(id: number, picked: Agreement): void {
    const stream = this.#store.get(id);
    if (stream === undefined || stream.phase !== 'incoming') return;
    this.#guarded(() => {
      const isOffered = agreementFault(stream.request!, picked) === undefined;
      invariant(isOffered, 'what is picked for a stream was not offered');
      stream.phase = 'open';
      stream.request = undefined;
      stream.agreement = picked;
      stream.receive.start();
      this.#sender.accept(stream);
      this.#sender.schedule(stream);
    });
  }

  /** Queues bytes. False asks the writer to pause until a `writable` event. */
  write(nowMs: number, id: number, chunk: Uint8Array): boolean {
    const stream = this.#store.get(id);
    if (stream === undefined || stream.sendEnded) return true;
    if (stream.resetByPeer !== undefined) return false;
    try {
      stream.send.push(chunk);
      this.#store.sendPool.take(chunk.length);
      this.#sender.schedule(stream);
      return this.#store.paused.mayGoOn(nowMs, stream);
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Whether the stream's writer may begin; if not it gets a `writable` event. */
  mayWrite(nowMs: number, id: number): boolean {
    const stream = this.#store.get(id);
    if (stream?.resetByPeer !== undefined) return false;
    return stream === undefined || this.#store.paused.mayGoOn(nowMs, stream);
  }

  /** Half-closes this side's direction once everything written was sent. */
  end(id: number): void {
    const stream = this.#store.get(id);
    if (stream === undefined || stream.sendEnded) return;
    stream.sendEnded = true;
    this.#sender.schedule(stream);
  }

  /**
   * The local end gave up the stream, or refuses it: unsent bytes are dropped. Or its connection was
   * reset, and what that had brought before still goes to the peer.
   */
  reset(id: number, code: StreamCode, reason: string): void {
    const stream = this.#store.get(id);
    if (stream === undefined) return;
    this.#guarded(() => {
      if (code !== 'connection-reset') this.#sender.reset(stream, code, reason);
      else if (stream.resetByPeer !== undefined) this.#sender.reset(stream, 'cancelled', reason);
      else if (stream.drained) this.#sender.reset(stream, code, reason);
      else if (stream.resetting === undefined) this.#sender.resetAfterData(stream, code, reason);
    });
  }

  /** `bytes` more were written to the stream's destination. */
  delivered(nowMs: number, id: number, bytes: number): void {
    const stream = this.#store.get(id);
    if (stream === undefined || bytes === 0) return;
    try {
      this.#delivered(nowMs, stream, bytes);
    } catch (error) {
      this.#fail(error);
    }
  }

  #delivered(nowMs: number, stream: Stream, bytes: number): void {
    this.#store.undeliveredBytes -= bytes;
    if (stream.receive.deliver(nowMs, bytes, stream.lane?.heartbeat.rttMinMs)) {
      if (stream.phase === 'open') this.#sender.credit(stream);
    } else {
      this.#store.acks.add(nowMs, stream);
    }
    this.#sender.answerReset(stream);
  }

  /** The peer's half-close was passed on to the destination. */
  finDelivered(id: number): void {
    const stream = this.#store.get(id);
    if (stream === undefined || !stream.finReported || stream.finDelivered) return;
    stream.finDelivered = true;
    this.#guarded(() => {
      if (stream.phase === 'open') this.#sender.credit(stream);
      this.#sender.settle(stream);
    });
  }

  /** Appends to `out` what streams have to send on the lane, about `bytesMax` in all. */
  transmit(lane: StreamLane, bytesMax: number, out: Uint8Array[]): void {
    const until = lane.bytesSent + bytesMax;
    try {
      while (lane.bytesSent < until && this.#sender.turn(lane, out)) {}
    } catch (error) {
      this.#fail(error);
    }
  }

  handleTimeout(nowMs: number): void {
    this.#guarded(() => {
      for (const stream of this.#store.acks.takeDue(nowMs)) {
        const live = this.#store.get(stream.id) === stream;
        if (live && stream.phase === 'open' && stream.receive.ackDue) this.#sender.credit(stream);
      }
      this.#store.paused.handleTimeout(nowMs);
    });
  }

  #guarded(command: () => void): void {
    try {
      command();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const { code, reason } = failureOf(error);
    this.#onDefect(code, reason);
  }
}
