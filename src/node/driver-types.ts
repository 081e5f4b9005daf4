import type { Socket } from 'node:net';
import type { RoutyError } from '../base/errors.ts';
import type { Identity } from '../base/identity.ts';
import type { LaneCode, StreamCode } from '../wire/codes.ts';

export type { LaneCode, StreamCode } from '../wire/codes.ts';

/** What the opener of a `tcp` stream asks for. */
export interface OpenRequest {
  /** `tcp` for a forwarded connection. */
  readonly protocol: string;
  /** Service name at the peer's site, without the site. */
  readonly service: string;
  /** Where the client of the forward came from and what it connected to; undefined for unix. */
  readonly source: { readonly address: string; readonly port: number } | undefined;
  readonly destination: { readonly address: string; readonly port: number } | undefined;
}

/** A stream the peer wants to open. Exactly one of `accept` and `refuse` is called, any time later. */
export interface IncomingStream {
  readonly request: OpenRequest;
  /** The peer gave up before an answer: `onCancel` is called and accept/refuse do nothing any more. */
  onCancel: (() => void) | undefined;
  /** The stream's bytes go to and come from this connected socket, which the driver owns from now on. */
  accept(socket: Socket, onEnd: StreamEndHandler): void;
  refuse(code: StreamCode, reason: string): void;
}

/** How a stream ended: `ok` when both directions ended cleanly. */
export interface StreamEnd {
  readonly ok: boolean;
  readonly code: StreamCode | undefined;
  readonly reason: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export type StreamEndHandler = (end: StreamEnd) => void;

/** Told to the opener of a stream. `onAccepted` comes at most once, `onEnd` exactly once, last. */
export interface OpenHandlers {
  onAccepted(): void;
  /**
   * Refused before any byte of the socket was read. True: the opener takes the socket back, untouched
   * and paused, to try elsewhere, and this stream has no `onEnd`. False, or no such method: `onEnd`.
   */
  onRefused?(code: StreamCode, reason: string): boolean;
  onEnd: StreamEndHandler;
}

/** The peer's HELLO, as far as admission is concerned. */
export interface PeerHello {
  readonly identity: Identity;
  /** Random per process start of the peer. */
  readonly instance: string;
  readonly sessionId: string;
  readonly epoch: number;
}

export type Admission =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: LaneCode; readonly reason: string };

/** Why a session ended. */
export interface SessionEnd {
  readonly code: LaneCode;
  readonly reason: string;
  /** True when the peer said so, false when this side decided. */
  readonly remote: boolean;
  /** With `lane-lost`: what the transport said; undefined when the peer ended the lane in order. */
  readonly laneError?: RoutyError | undefined;
}

export interface DriverHandlers {
  /** Accepting side only, synchronously: may this peer have this session? */
  admit(hello: PeerHello): Admission;
  /** Both HELLOs agreed; streams may be opened from now on. */
  onEstablished(hello: PeerHello): void;
  /** The peer's complete list of services this node may open; replaces the one before. */
  onOffers(services: readonly string[]): void;
  onStream(stream: IncomingStream): void;
  /** The peer drains: it takes no new streams. */
  onDraining(): void;
  /** Once, last. Every stream has had its `onEnd` before. */
  onClosed(end: SessionEnd): void;
}

export interface PingSample {
  readonly rttMs: number;
  readonly clockOffsetMs: number;
}

/** Figures of one session since it was established. */
export interface DriverStats {
  readonly rttMs: number | undefined;
  readonly clockOffsetMs: number | undefined;
  readonly streams: number;
  readonly streamsOpened: number;
  /** Stream payload bytes. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Bytes held for replay and bytes received but not yet written out. */
  readonly bufferedBytes: number;
}

/** A session joined to its lane and its streams' sockets. `node/session-driver.ts` implements it. */
export interface SessionDriverApi {
  readonly peer: Identity;
  readonly sessionId: string;
  readonly epoch: number;
  readonly established: boolean;
  /** Opens a stream; the driver owns `socket` from now on, whatever happens. */
  open(request: OpenRequest, socket: Socket, handlers: OpenHandlers): void;
  /** Tells the peer which services of this node it may open. */
  offer(services: readonly string[]): void;
  /** Rejects with a RoutyError when the session ends first. */
  ping(): Promise<PingSample>;
  /** Tells the peer to open nothing new; open streams go on. */
  drain(): void;
  /** Ends the session: streams are reset, the lane is closed after a last frame with the reason. */
  close(code: LaneCode, reason: string): void;
  stats(): DriverStats;
}
