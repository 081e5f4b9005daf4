import type { StreamCode } from '../../wire/codes.ts';
import type { OpenPayload } from '../../wire/payload.ts';
import type { EventQueue } from '../events.ts';
import { Budget } from '../flow/budget.ts';
import { ReceiveWindow, WINDOW_BYTES_MIN } from '../flow/receive-window.ts';
import type { SessionOptions } from '../options.ts';
import { AckList } from './ack-list.ts';
import type { LaneSet } from './lane-set.ts';
import { PausedWriters } from './paused-writers.ts';
import { SeenIds } from './seen-ids.ts';
import { Stream } from './stream.ts';
import { Tombstones } from './tombstones.ts';
import { UnconfirmedOpens } from './unconfirmed-opens.ts';

/**
 * What a stream holds for sending and sending again is at most this many of this side's windows.
 * Two, since acknowledgements lag behind what a peer with the same window has granted.
 */
const HELD_WINDOWS = 2;

export interface StreamTotals {
  opened: number;
  /** Streams of the peer that were refused because it is at its limits here. */
  refused: number;
  /** Why the last of them was. */
  refusedReason: string;
  /** Payload bytes, those sent again not counted. */
  bytesSent: number;
  bytesReceived: number;
  /** Payload bytes that were sent again because a lane was lost. */
  bytesReplayed: number;
}

/** Bytes that a session holds, and that its greediest streams hold. */
export interface SessionMemory {
  /** For sending and for sending again. */
  readonly replayBytes: number;
  /** Arrived ahead of bytes that are under way on another lane. */
  readonly reassemblyBytes: number;
  readonly streamReplayBytesMax: number;
  readonly streamReassemblyBytesMax: number;
}

/** What a session has of the budgets, and what it may have at the moment, both ways together. */
export interface SessionShare {
  readonly usedBytes: number;
  readonly shareBytes: number;
}

/** The streams of a session and what they hold: budgets, ids, and the memory of those that are gone. */
export class StreamTable {
  readonly totals: StreamTotals = {
    opened: 0,
    refused: 0,
    refusedReason: '',
    bytesSent: 0,
    bytesReceived: 0,
    bytesReplayed: 0,
  };
  readonly events: EventQueue;
  readonly lanes: LaneSet;
  readonly sendPool: Budget;
  readonly receivePool: Budget;
  readonly paused: PausedWriters;
  readonly acks = new AckList();
  readonly tombstones = new Tombstones();
  /** Ids of the peer's. */
  readonly seen: SeenIds;
  /** Ids of this side. */
  readonly unconfirmed: UnconfirmedOpens;
  /** Bytes the peer takes on a stream before it accepts it. */
  peerInitialWindow = 0;
  /** Arrived and not delivered. */
  undeliveredBytes = 0;
  /** A part of them. */
  reassemblyBytes = 0;
  draining = false;
  readonly #options: SessionOptions;
  readonly #streams = new Map<number, Stream>();
  #nextLocalId: number;

  constructor(options: SessionOptions, events: EventQueue, lanes: LaneSet) {
    this.#options = options;
    this.events = events;
    this.lanes = lanes;
    this.sendPool = new Budget(options.sessionBuffer / 2, options.pools.send, () => {
      this.paused.pauseAll(this.#streams.values(), options.pauseWriters);
    });
    this.receivePool = new Budget(options.sessionBuffer / 2, options.pools.receive);
    this.paused = new PausedWriters(this.sendPool, events, HELD_WINDOWS * options.streamWindow);
    const dialler = options.role === 'dialler';
    this.#nextLocalId = dialler ? 1 : 2;
    this.seen = new SeenIds(dialler ? 2 : 1);
    this.unconfirmed = new UnconfirmedOpens(dialler ? 1 : 2);
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Highest id this side has opened; zero or less when none. */
  get lastLocalId(): number {
    return this.#nextLocalId - 2;
  }

  /** Why the next id may be more than the peer takes; undefined when it is not. */
  get idRefusal(): string | undefined {
    return this.unconfirmed.refusal(this.#nextLocalId);
  }

  get full(): boolean {
    return this.#streams.size >= this.#options.streams;
  }

  get(id: number): Stream | undefined {
    return this.#streams.get(id);
  }

  all(): IterableIterator<Stream> {
    return this.#streams.values();
  }

  /** Whether this side opens streams with that id, as opposed to the peer. */
  isLocal(id: number): boolean {
    return (id - this.#nextLocalId) % 2 === 0;
  }

  /** Whether a stream with that id was ever opened. */
  knows(id: number): boolean {
    return this.isLocal(id) ? id < this.#nextLocalId : this.seen.has(id);
  }

  /** A stream this side opens; undefined when there is no room for one. */
  openLocal(nowMs: number, request: OpenPayload): Stream | undefined {
    const receive = this.#newWindow(nowMs);
    if (receive === undefined) return undefined;
    const stream = new Stream(this.#nextLocalId, 'opening', receive, this.peerInitialWindow);
    this.#nextLocalId += 2;
    stream.request = request;
    receive.start();
    this.#add(stream);
    return stream;
  }

  /** A stream the peer opens; undefined when there is no room for one. */
  openRemote(
    nowMs: number,
    id: number,
    creditLimit: number,
    request: OpenPayload,
  ): Stream | undefined {
    const receive = this.#newWindow(nowMs);
    if (receive === undefined) return undefined;
    const stream = new Stream(id, 'incoming', receive, creditLimit);
    stream.request = request;
    this.#add(stream);
    return stream;
  }

  /** Counts a stream of the peer for which there is no room; returns why. */
  refused(): string {
    this.totals.refused++;
    this.totals.refusedReason = this.overloadReason();
    return this.totals.refusedReason;
  }

  overloadReason(): string {
    return this.full
      ? `${this.#streams.size} streams are open, the limit is ${this.#options.streams}`
      : 'the buffer budget is used up';
  }

  /** The peer has delivered up to `offset`. */
  acknowledge(stream: Stream, offset: number): void {
    this.sendPool.release(stream.send.ack(offset));
    stream.flight?.acknowledged(offset);
    if (stream.flight?.empty) stream.flight = undefined;
  }

  /** The peer wants nothing more of this side's direction. */
  stopSending(stream: Stream): void {
    this.sendPool.release(stream.send.drop());
    stream.flight = undefined;
    this.silenceWriter(stream);
  }

  /** The writer may not go on, and is not told to. */
  silenceWriter(stream: Stream): void {
    this.paused.forget(stream);
    stream.writerPaused = true;
  }

  /** The stream is over for its owner. */
  end(stream: Stream, code: StreamCode, reason: string): void {
    this.remove(stream);
    if (!stream.ownerless) this.events.push({ kind: 'reset', stream: stream.id, code, reason });
  }

  remove(stream: Stream): void {
    this.#streams.delete(stream.id);
    this.lanes.forget(stream);
    this.paused.forget(stream);
    this.undeliveredBytes -= stream.undeliveredBytes;
    this.reassemblyBytes -= stream.reassemblyBytes;
    this.sendPool.release(stream.send.drop());
    stream.receive.close();
  }

  /** Remembers that a stream has ended here, in case the peer does not hear it. */
  bury(id: number, code: StreamCode | undefined, lane: number | undefined): void {
    this.tombstones.add(id, code, lane);
  }

  get share(): SessionShare {
    const usedBytes = this.sendPool.used + this.receivePool.used;
    return { usedBytes, shareBytes: this.sendPool.mayHold + this.receivePool.mayHold };
  }

  memory(): SessionMemory {
    let streamReplayBytesMax = 0;
    let streamReassemblyBytesMax = 0;
    for (const { send, reassemblyBytes } of this.#streams.values()) {
      streamReplayBytesMax = Math.max(streamReplayBytesMax, send.heldBytes);
      streamReassemblyBytesMax = Math.max(streamReassemblyBytesMax, reassemblyBytes);
    }
    return {
      replayBytes: this.sendPool.used,
      reassemblyBytes: this.reassemblyBytes,
      streamReplayBytesMax,
      streamReassemblyBytesMax,
    };
  }

  /** Ends every stream with a `reset` event. */
  resetAll(code: StreamCode, reason: string): void {
    // First: what is given back may be what is wrong, and the end of a session must come to its end.
    this.sendPool.close();
    this.receivePool.close();
    for (const stream of [...this.#streams.values()]) this.end(stream, code, reason);
    this.acks.clear();
    this.tombstones.clear();
    this.unconfirmed.clear();
  }

  #add(stream: Stream): void {
    this.#streams.set(stream.id, stream);
    this.totals.opened++;
  }

  #newWindow(nowMs: number): ReceiveWindow | undefined {
    if (this.full) return undefined;
    if (!this.receivePool.tryTake(WINDOW_BYTES_MIN)) return undefined;
    const { streamWindow } = this.#options;
    return new ReceiveWindow(WINDOW_BYTES_MIN, streamWindow, this.receivePool, nowMs);
  }
}
