import type { Socket } from 'node:net';
import { formatHostPort, type Identity, invariant, type RoutyError } from '@routy/proto/base';
import { laneFailure } from './failures.ts';
import {
  ADDRESS_GONE,
  LANE_HIGH_WATER_BYTES,
  LANE_LINGER_MS,
  type Lane,
  type LaneHandlers,
  laneOutcome,
  lingerFailure,
} from './lane.ts';

export interface SocketLaneOptions {
  readonly peer: Identity;
  readonly direction: Lane['direction'];
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly security: string;
  readonly exporter: Uint8Array;
  /** The peer has said something already: an end before anything else is no refusal. */
  readonly heardPeer?: boolean;
  /** At least 16 KiB, the socket's own mark: node reports no drain below it. */
  readonly highWaterBytes?: number;
  readonly lingerMs?: number;
}

/**
 * A lane over a socket whose handshake is done and whose peer was judged. The socket belongs to the
 * lane from here on.
 *
 * Reading: `onread` with a buffer of one's own would save a quarter of the reader's processor time,
 * but only by reusing that buffer, and the views handed to `onData` are the receiver's to keep.
 */
export class SocketLane implements Lane {
  readonly peer: Identity;
  readonly direction: Lane['direction'];
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly security: string;
  readonly exporter: Uint8Array;
  readonly #socket: Socket;
  readonly #highWaterBytes: number;
  readonly #lingerMs: number;
  #handlers: LaneHandlers | undefined;
  #paused = false;
  #awaitsDrain = false;
  /** `end` or `destroy` was called here. */
  #finishing = false;
  #peerEnded = false;
  #heardPeer: boolean;
  #closed = false;
  #error: RoutyError | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: SocketLaneOptions) {
    this.peer = options.peer;
    this.direction = options.direction;
    this.remoteAddress = options.remoteAddress;
    this.localAddress = options.localAddress;
    this.security = options.security;
    this.exporter = options.exporter;
    this.#socket = socket;
    this.#heardPeer = options.heardPeer === true;
    this.#highWaterBytes = options.highWaterBytes ?? LANE_HIGH_WATER_BYTES;
    this.#lingerMs = options.lingerMs ?? LANE_LINGER_MS;
    socket.on('error', (error) => this.#handleError(error));
    socket.once('end', () => {
      this.#peerEnded = true;
    });
    socket.once('close', () => this.#handleClose());
  }

  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  bind(handlers: LaneHandlers): void {
    invariant(this.#handlers === undefined, 'a lane is bound once');
    this.#handlers = handlers;
    if (this.#closed) {
      // Not from inside `bind`: the caller is not done setting itself up.
      setImmediate(() => handlers.onClose(this.#outcome()));
      return;
    }
    const socket = this.#socket;
    socket.on('drain', () => this.#handleDrain());
    socket.once('data', () => {
      this.#heardPeer = true;
    });
    socket.on('data', (chunk: Uint8Array) => handlers.onData(chunk));
    if (this.#paused) socket.pause();
    else socket.resume();
  }

  write(buffers: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (this.#finishing || this.#closed || !socket.writable) return false;
    // Corked buffers go down in one gathered write, which node's TLS joins for a single SSL_write.
    if (buffers.length === 1) {
      socket.write(buffers[0]!);
    } else {
      socket.cork();
      for (const buffer of buffers) socket.write(buffer);
      socket.uncork();
    }
    if (socket.writableLength <= this.#highWaterBytes) return true;
    this.#awaitsDrain = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
    if (this.#handlers !== undefined) this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#handlers !== undefined) this.#socket.resume();
  }

  end(): void {
    if (this.#finishing || this.#closed) return;
    this.#finishing = true;
    this.#socket.end();
    // The socket closes when the peer has ended too. Closing at once would answer what it still
    // sends with a reset, and that can overtake our last bytes.
    this.#lingerTimer = setTimeout(() => this.#handleLingerTimeout(), this.#lingerMs);
    this.#lingerTimer.unref();
  }

  destroy(error?: RoutyError): void {
    if (this.#closed) return;
    this.#finishing = true;
    this.#error ??= error;
    this.#socket.destroy();
  }

  #handleDrain(): void {
    if (!this.#awaitsDrain || this.#finishing) return;
    this.#awaitsDrain = false;
    this.#handlers?.onDrain();
  }

  #handleError(error: Error): void {
    // After our orderly end, with everything sent, a peer that hangs up abruptly is no failure.
    if (!this.#finishing || !this.#socket.writableFinished) {
      this.#error ??= laneFailure(this.remoteAddress, error);
    }
    // Node reports a TLS error after the handshake (a bad record) and leaves the socket open.
    this.#socket.destroy();
  }

  #handleLingerTimeout(): void {
    if (!this.#socket.writableFinished) {
      this.#error ??= lingerFailure(this, this.#lingerMs);
    }
    this.#socket.destroy();
  }

  #handleClose(): void {
    clearTimeout(this.#lingerTimer);
    this.#closed = true;
    this.#handlers?.onClose(this.#outcome());
  }

  #outcome(): RoutyError | undefined {
    return laneOutcome({
      lane: this,
      isFinishing: this.#finishing,
      isHeard: this.#heardPeer,
      isEnded: this.#peerEnded,
      error: this.#error,
    });
  }
}

/** `host:port` of a socket's end, IPv4 in IPv6 clothes undressed. */
export function endpoint(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return ADDRESS_GONE;
  return formatHostPort(plainAddress(address), port);
}

/** `::ffff:192.0.2.1` (RFC 4291 §2.5.5.2), as a listener on `::` sees IPv4, becomes `192.0.2.1`. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
