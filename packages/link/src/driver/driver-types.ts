import type { Identity, RoutyError } from '@routy/proto/base';
import type { LaneFacts, Refusal } from '@routy/proto/session';
import type { Agreement, Hello, LaneCode, OpenPayload, StreamCode } from '@routy/proto/wire';
import type { ByteReceiver } from '../streams/byte-stream.ts';
import type { Lane } from '../transport/lane.ts';
import type { LaneLink } from './lanes/lane-link.ts';

export type { LaneCode, StreamCode } from '@routy/proto/wire';

/** What the opener of a stream asks for: OPEN's payload. */
export type OpenRequest = OpenPayload;

/** A stream the peer wants to open. Exactly one of `accept` and `refuse` is called, any time later. */
export interface IncomingStream {
  /** What it is opened for. */
  readonly request: OpenRequest;
  /** The peer gave up before an answer: `onCancel` is called and accept/refuse do nothing any more. */
  onCancel: (() => void) | undefined;
  /**
   * The stream ends in this receiver, which hears of everything from now on. `picked` is the version
   * and the capabilities, out of those that the request offers; version 1 without capabilities if
   * none is given.
   *
   * @throws RangeError when that was not offered; the stream still waits for an answer.
   */
  accept(receiver: ByteReceiver, picked?: Agreement): void;
  /** Refuses it; the opener's receiver is reset with the code. */
  refuse(code: StreamCode, reason: string): void;
  /** Ends a stream that was accepted; nothing happens when it has ended. */
  reset(code: StreamCode, reason: string): void;
}

/**
 * Told to the opener of a stream beside what its receiver is told. `onAccepted` comes at most once.
 * How a stream ended is told to the receiver alone.
 */
export interface OpenHandlers {
  /** The peer has accepted it, with one of the versions and some of the capabilities asked for. */
  onAccepted(picked: Agreement): void;
  /** How long the peer may leave it unanswered while a lane carries the session; in ms. */
  readonly answerMs: number;
  /** Another node may serve it, as long as its receiver is untouched. */
  readonly mayMove?: boolean;
  /**
   * Refused while the receiver was untouched. True: the opener takes it back to try elsewhere, and may
   * have done so already. False, or no such method: the receiver is reset.
   */
  onRefused?(code: StreamCode, reason: string): boolean;
  /**
   * {@link SessionDriverApi.withdraw} has taken the open back: the receiver is the opener's
   * again, untouched.
   */
  onWithdrawn?(): void;
}

/** Why a session ended. */
export interface SessionEnd {
  /** Why, for programs. */
  readonly code: LaneCode;
  /** Why, in a line for people. */
  readonly reason: string;
  /** True when the peer said so, false when this side decided. */
  readonly remote: boolean;
  /** What the transport said of the lane that went last; undefined when it ended in order. */
  readonly laneError?: RoutyError | undefined;
}

/** Why a lane ended. */
export interface LaneEnd {
  /** Id of the lane in its session; `epoch` on the wire. */
  readonly laneId: number;
  /** Why, for programs. */
  readonly code: LaneCode;
  /** Why, in a line for people. */
  readonly reason: string;
  /** True when the peer said so, false when this side decided. */
  readonly remote: boolean;
  /** What the transport said; undefined when the lane ended in order. */
  readonly laneError: RoutyError | undefined;
  /** It carried the session. */
  readonly wasUp: boolean;
  /** How many lanes still carry the session. */
  readonly lanesLeft: number;
  /** The session ended, and the lane with it. */
  readonly withSession: boolean;
}

/** What a driver tells the owner of its session, from a round of the event loop or a call of the owner. */
export interface DriverHandlers {
  /**
   * Once, with the first lane: streams may be opened from now on. `capabilities` are the optional
   * parts of the session protocol that both ends can use.
   */
  onEstablished(lane: Lane, capabilities: readonly string[]): void;
  /** A lane carries the session, the first one too. */
  onLaneUp(laneId: number, lane: Lane): void;
  /** Once for every lane that was dialled or attached. */
  onLaneClosed(end: LaneEnd): void;
  /** No lane carries the session any more; its streams wait. */
  onSuspended(): void;
  /** A lane carries the session again. */
  onResumed(suspendedMs: number): void;
  /** The peer's complete list of services this node may open; replaces the one before. */
  onOffers(services: ReadonlySet<string>): void;
  /** The peer wants to open a stream. */
  onStream(stream: IncomingStream): void;
  /** A stream was reset since what the two ends say of it excludes each other. */
  onMismatch(stream: number, reason: string): void;
  /** So many more streams of the peer were refused because it is at its limits here. */
  onOverload(streams: number, reason: string): void;
  /** The peer drains: it takes no new streams. */
  onDraining(): void;
  /** Once, last. Every receiver has had its reset and every lane its `onLaneClosed` before. */
  onClosed(end: SessionEnd): void;
}

/** What one heartbeat, or ping, has measured. */
export interface PingSample {
  /** Round trip, in ms. */
  readonly rttMs: number;
  /** The peer's clock minus this one's, in ms, as if both ways had taken the same time. */
  readonly clockOffsetMs: number;
}

/** Figures of one session since it was established. */
export interface DriverStats {
  /** Round trip of the heartbeat that came back last, in ms; undefined before the first. */
  readonly rttMs: number | undefined;
  /** The peer's clock minus this one's, in ms; undefined before the first heartbeat. */
  readonly clockOffsetMs: number | undefined;
  /** Streams that are open. */
  readonly streams: number;
  /** Streams that either side has opened, those that have ended too. */
  readonly streamsOpened: number;
  /** Streams of the peer that were refused because it is at its limits here. */
  readonly streamsRefused: number;
  /** What the session has of the budgets, and may have at the moment. */
  readonly usedBytes: number;
  /** What it may have of the budgets at the moment. */
  readonly shareBytes: number;
  /** Stream payload bytes. */
  readonly bytesSent: number;
  /** Stream payload bytes, each once. */
  readonly bytesReceived: number;
  /** Stream payload bytes that were sent once more. */
  readonly bytesReplayed: number;
  /** Bytes held for replay and bytes received but not yet written out. */
  readonly bufferedBytes: number;
}

/** What a session holds, in bytes; looking at it takes time in proportion to its streams. */
export interface DriverMemory {
  /** Kept until the peer has written them to their destination. */
  readonly replayBytes: number;
  /** Received ahead of bytes that are still missing. */
  readonly reassemblyBytes: number;
  /** The same of the stream that holds most. */
  readonly streamReplayBytesMax: number;
  readonly streamReassemblyBytesMax: number;
}

/** A lane that carries a session. */
export interface LiveLane extends Pick<LaneFacts, 'rttMs' | 'streams' | 'bytesSent'> {
  /** Id of the lane in its session: a later one is higher. */
  readonly laneId: number;
  /** The connection. */
  readonly lane: Lane;
  /** Since bytes of the peer arrived last. */
  readonly unheardMs: number;
  /** For so long that a heartbeat of the peer is missing. */
  readonly silent: boolean;
}

/** A session joined to its lanes and to what its streams end in. `session-driver.ts` implements it. */
export interface SessionDriverApi {
  /** Who is at the other end. */
  readonly peer: Identity;
  /** 32 hex digits. */
  readonly sessionId: string;
  /** The highest id of its lanes so far; 0 before the first. */
  readonly lastLaneId: number;
  /** It was established and has not ended; true while suspended. */
  readonly established: boolean;
  /** No lane carries it at the moment. */
  readonly suspended: boolean;
  /** No lane brought anything lately, though each should have. */
  readonly silent: boolean;
  /** Dialler: joins a fresh lane to the session and returns its id. */
  dial(link: LaneLink): number;
  /** Acceptor: why the lane may not join, or undefined when it may. */
  judge(link: LaneLink, hello: Hello): Refusal | undefined;
  /** Acceptor: joins a lane whose HELLO is good, the first one or a further one. */
  attach(link: LaneLink, hello: Hello): void;
  /** Ends one lane; the session goes on over the others. */
  closeLane(laneId: number, reason: string): void;
  /**
   * Opens a stream that ends in `receiver`, which hears of what becomes of it in any case.
   *
   * @throws RangeError when the request is not as {@link OpenRequest} says; nothing was opened.
   */
  open(request: OpenRequest, receiver: ByteReceiver, handlers: OpenHandlers): void;
  /**
   * While no lane carries the session: takes back the opens of services for which `elsewhere` is
   * true, where the peer has not answered and no byte of the client was taken.
   */
  withdraw(elsewhere: (service: string) => boolean): void;
  /** Tells the peer which services of this node it may open. Returns how many did not fit in. */
  offer(services: readonly string[]): number;
  /** Waits for a lane when there is none; rejects with a RoutyError when the session ends first. */
  ping(): Promise<PingSample>;
  /** Tells the peer to open nothing new; open streams go on. */
  drain(): void;
  /** Ends the session: streams are reset, lanes are closed after a last frame with the reason. */
  close(code: LaneCode, reason: string): void;
  /** Its figures now, at no cost. */
  stats(): DriverStats;
  /** What it holds now. */
  memory(): DriverMemory;
  /** The lanes that carry the session, oldest first. */
  lanes(): LiveLane[];
}
