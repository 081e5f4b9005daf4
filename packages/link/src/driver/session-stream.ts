import type { Identity } from '@routy/proto/base';
import { ByteQueue } from '@routy/proto/session';
import type { StreamCode } from '@routy/proto/wire';
import type { ByteReceiver, ByteStream } from '../streams/byte-stream.ts';
import type { OpenHandlers, OpenRequest } from './driver-types.ts';

/** What a stream asks of its session. */
export interface SessionStreamHost {
  readonly peer: Identity;
  write(stream: number, chunk: Uint8Array): boolean;
  end(stream: number): void;
  reset(stream: number, code: StreamCode, reason: string): void;
  delivered(stream: number, bytes: number): void;
  finDelivered(stream: number): void;
  /** Wants {@link SessionStream.flush} once this round's bytes are all in. */
  unflushed(stream: SessionStream): void;
}

/** An open of this side that the peer has not answered. */
export interface Opening {
  readonly handlers: OpenHandlers;
  /** The receiver's bytes are not taken before the answer. */
  readonly isHeld: boolean;
  /** By the clock of answers. */
  readonly giveUpAtMs: number;
}

/**
 * One stream of a session, between the session and the receiver it ends in. Bytes that come before
 * the receiver, while an incoming stream is not answered, wait here.
 */
export class SessionStream implements ByteStream {
  readonly id: number;
  readonly request: OpenRequest;
  readonly #host: SessionStreamHost;
  #receiver: ByteReceiver | undefined;
  #early: ByteQueue | undefined;
  #hasEarlyFin = false;

  constructor(id: number, request: OpenRequest, host: SessionStreamHost) {
    this.id = id;
    this.request = request;
    this.#host = host;
  }

  get peer(): Identity {
    return this.#host.peer;
  }

  get protocol(): string {
    return this.request.protocol;
  }

  get service(): string {
    return this.request.service;
  }

  /** Undefined until an incoming stream is accepted. */
  get receiver(): ByteReceiver | undefined {
    return this.#receiver;
  }

  get untouched(): boolean {
    return this.#receiver?.untouched ?? true;
  }

  /** Gives the stream what it ends in, and that what came so far. */
  join(receiver: ByteReceiver): void {
    this.#receiver = receiver;
    receiver.attach(this);
    const early = this.#early;
    this.#early = undefined;
    for (let piece = early?.shift(); piece; piece = early?.shift()) receiver.data(piece);
    if (this.#hasEarlyFin) receiver.fin();
  }

  data(bytes: Uint8Array): void {
    if (this.#receiver !== undefined) {
      this.#receiver.data(bytes);
      return;
    }
    this.#early ??= new ByteQueue();
    this.#early.append(bytes);
  }

  /** Of bytes that are only lent: how many the receiver has copied. */
  absorb(bytes: Uint8Array): number {
    return this.#receiver?.absorb?.(bytes) ?? 0;
  }

  fin(): void {
    if (this.#receiver === undefined) this.#hasEarlyFin = true;
    else this.#receiver.fin();
  }

  flush(): void {
    this.#receiver?.flush();
  }

  // What the receiver says.

  write(chunk: Uint8Array): boolean {
    return this.#host.write(this.id, chunk);
  }

  end(): void {
    this.#host.end(this.id);
  }

  reset(code: StreamCode, reason: string): void {
    this.#host.reset(this.id, code, reason);
  }

  delivered(bytes: number): void {
    this.#host.delivered(this.id, bytes);
  }

  finDelivered(): void {
    this.#host.finDelivered(this.id);
  }

  flushLater(): void {
    this.#host.unflushed(this);
  }
}
