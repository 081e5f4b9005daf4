import {
  LANE_HIGH_WATER_BYTES,
  LANE_LINGER_MS,
  type Lane,
  type LaneHandlers,
  LinkError,
  laneFailure,
  laneOutcome,
  lingerFailure,
} from '@routy/link/transport';
import { type Identity, invariant, type RoutyError } from '@routy/proto/base';
import type { Turn } from '../loop/event-loop.ts';
import type { NativePlane } from '../sockets/native-plane.ts';
import type { NativeSocket, SocketHandlers } from '../sockets/native-socket.ts';
import type { RecordFailure, RecordLayer } from '../tls/record-layer.ts';
import { RecordInbox } from './record-inbox.ts';
import { RecordOutbox } from './record-outbox.ts';

export interface NativeLaneOptions {
  readonly plane: NativePlane;
  /** Paused; the lane's from here on. */
  readonly socket: NativeSocket;
  /** Cleared by the lane when it is over. */
  readonly layer: RecordLayer;
  /** What came of the peer behind the handshake. */
  readonly leftover: Uint8Array;
  /** The peer's bytes have ended behind it. */
  readonly isEnded: boolean;
  /** See {@link RecordOutbox}. */
  readonly sealed: Uint8Array;
  readonly peer: Identity;
  readonly direction: Lane['direction'];
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly security: string;
  readonly exporter: Uint8Array;
  readonly highWaterBytes?: number | undefined;
  readonly lingerMs?: number | undefined;
}

/** A lane over a native socket, whose record layer is ours behind the handshake of node:tls. */
export class NativeLane implements Lane, SocketHandlers, Turn {
  readonly peer: Identity;
  readonly direction: Lane['direction'];
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly security: string;
  readonly exporter: Uint8Array;
  readonly #plane: NativePlane;
  readonly #socket: NativeSocket;
  readonly #layer: RecordLayer;
  readonly #inbox: RecordInbox;
  readonly #outbox: RecordOutbox;
  readonly #highWaterBytes: number;
  readonly #lingerMs: number;
  #handlers: LaneHandlers | undefined;
  #leftover: Uint8Array | undefined;
  readonly #isEndedBefore: boolean;
  /** Plaintext that came in one read before the lane was paused. */
  #unread: Uint8Array[] = [];
  #isPaused = false;
  #isTurnDue = false;
  #awaitsDrain = false;
  /** `end` or `destroy` was called here. */
  #isFinishing = false;
  /** A close_notify was sent, or is about to be. */
  #isSendingOver = false;
  #isHeard = false;
  #isPeerEnded = false;
  #isClosed = false;
  #error: RoutyError | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(options: NativeLaneOptions) {
    this.peer = options.peer;
    this.direction = options.direction;
    this.remoteAddress = options.remoteAddress;
    this.localAddress = options.localAddress;
    this.security = options.security;
    this.exporter = options.exporter;
    this.#plane = options.plane;
    this.#socket = options.socket;
    this.#layer = options.layer;
    this.#inbox = new RecordInbox(options.layer, (piece) => this.#take(piece));
    this.#outbox = new RecordOutbox(options);
    this.#highWaterBytes = options.highWaterBytes ?? LANE_HIGH_WATER_BYTES;
    this.#lingerMs = options.lingerMs ?? LANE_LINGER_MS;
    this.#leftover = options.leftover;
    this.#isEndedBefore = options.isEnded;
    this.#socket.bind(this);
  }

  get queuedBytes(): number {
    return this.#socket.queuedBytes;
  }

  bind(handlers: LaneHandlers): void {
    invariant(this.#handlers === undefined, 'a lane is bound once');
    this.#handlers = handlers;
    // Not from inside `bind`: the caller is not done setting itself up.
    if (this.#isClosed) this.#tellClosed();
    else this.#again();
  }

  write(buffers: readonly Uint8Array[]): boolean {
    if (this.#isSendingOver || this.#isClosed || !this.#layer.canSend) return false;
    if (!this.#outbox.write(buffers)) this.#again();
    if (this.queuedBytes <= this.#highWaterBytes) return true;
    this.#awaitsDrain = true;
    return false;
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#handlers !== undefined && !this.#isClosed) this.#again();
  }

  end(): void {
    if (this.#isFinishing || this.#isClosed) return;
    this.#isFinishing = true;
    this.#endSending();
  }

  destroy(error?: RoutyError): void {
    if (this.#isClosed) return;
    this.#isFinishing = true;
    this.#close(error);
  }

  /** {@link Turn}: what has waited for this round. */
  turn(): void {
    this.#isTurnDue = false;
    if (this.#isClosed) return;
    this.#outbox.flush();
    if (this.#isClosed || this.#isPaused || this.#handlers === undefined) return;
    this.#passOn(this.#handlers);
    if (!this.#isClosed && !this.#isPaused) this.#socket.resume();
  }

  /** {@link SocketHandlers} */
  onData(bytes: Uint8Array): void {
    this.#inbox.take(bytes);
    this.#recordsTaken();
  }

  onEnd(): void {
    this.#layer.receiveEnd();
    this.#recordsTaken();
  }

  onWritten(): void {
    if (this.#isClosed || this.queuedBytes > 0) return;
    this.#sendControl();
    if (!this.#awaitsDrain || this.#isSendingOver) return;
    this.#awaitsDrain = false;
    this.#handlers?.onDrain();
  }

  onFinished(): void {
    if (this.#isPeerEnded) this.#close(undefined);
  }

  /** What the peer said last may say why: it is read before the lane is closed. */
  onWritingDied(error: NodeJS.ErrnoException): void {
    if (!this.#isAllSent) this.#error ??= laneFailure(this.remoteAddress, error);
    if (this.#isPaused || this.#isPeerEnded) this.#close(undefined);
    else this.#linger();
  }

  /** It was reset while it is not read: known to whoever reads on, or writes. */
  onGone(): void {}

  onError(error: NodeJS.ErrnoException): void {
    this.#close(this.#isAllSent ? undefined : laneFailure(this.remoteAddress, error));
  }

  /** After our orderly end, with everything sent, a peer that hangs up abruptly is no failure. */
  get #isAllSent(): boolean {
    return this.#isFinishing && this.#socket.finished;
  }

  #again(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#plane.loop.again(this);
  }

  /** A piece of plaintext, valid until this returns. */
  #take(piece: Uint8Array): void {
    if (this.#isClosed) return;
    this.#isHeard = true;
    const handlers = this.#handlers!;
    if (this.#isPaused || this.#unread.length > 0) this.#unread.push(new Uint8Array(piece));
    else if (handlers.onLent === undefined) handlers.onData(new Uint8Array(piece));
    else handlers.onLent(piece);
  }

  #passOn(handlers: LaneHandlers): void {
    const leftover = this.#leftover;
    this.#leftover = undefined;
    if (leftover !== undefined) {
      this.#inbox.take(leftover);
      if (this.#isEndedBefore) this.#layer.receiveEnd();
    }
    while (this.#unread.length > 0 && !this.#isPaused && !this.#isClosed) {
      handlers.onData(this.#unread.shift()!);
    }
    this.#recordsTaken();
  }

  /** Does what the records ask for, once all that they brought is told. */
  #recordsTaken(): void {
    if (this.#isClosed) return;
    this.#sendControl();
    if (this.#unread.length > 0) return;
    const { failure, isEnded } = this.#layer;
    if (failure !== undefined) this.#close(this.#failureOf(failure));
    else if (isEnded && !this.#isPeerEnded) this.#peerEnded();
  }

  /** Who asks for keys and does not read what it is told has them when it does. */
  #sendControl(): void {
    const { hasControl, failure } = this.#layer;
    if (!hasControl || (failure === undefined && this.queuedBytes > this.#highWaterBytes)) return;
    if (!this.#outbox.writeControl()) this.#again();
  }

  #failureOf({ kind, text }: RecordFailure): RoutyError | undefined {
    if (kind === 'truncated' && this.#isAllSent) return undefined;
    const code = CODES[kind];
    return new LinkError(code, `lane to ${this.remoteAddress} failed: ${text}`);
  }

  #peerEnded(): void {
    this.#isPeerEnded = true;
    if (this.#socket.finished || this.#error !== undefined) this.#close(undefined);
    else this.#endSending();
  }

  /** The lane closes when the peer has ended too: to close at once may overtake our last bytes. */
  #endSending(): void {
    if (this.#isSendingOver) return;
    this.#isSendingOver = true;
    this.#layer.end();
    this.#outbox.writeControl();
    this.#linger();
    this.#socket.end();
  }

  #linger(): void {
    this.#lingerTimer ??= setTimeout(() => this.#lingerOver(), this.#lingerMs).unref();
  }

  #lingerOver(): void {
    this.#close(this.#socket.finished ? undefined : lingerFailure(this, this.#lingerMs));
  }

  #close(error: RoutyError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#error ??= error;
    this.#unread = [];
    this.#leftover = undefined;
    clearTimeout(this.#lingerTimer);
    this.#layer.clear();
    this.#socket.close();
    if (this.#handlers !== undefined) this.#tellClosed();
  }

  #tellClosed(): void {
    this.#plane.loop.atRoundEnd(() => {
      this.#handlers!.onClose(
        laneOutcome({
          lane: this,
          isFinishing: this.#isFinishing,
          isHeard: this.#isHeard,
          isEnded: this.#isPeerEnded,
          error: this.#error,
        }),
      );
    });
  }
}

const CODES = {
  violation: 'lane-corrupt',
  alert: 'lane-failed',
  truncated: 'lane-closed',
} as const;
