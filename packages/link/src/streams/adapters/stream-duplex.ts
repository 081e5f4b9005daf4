import { addAbortSignal, Duplex } from 'node:stream';
import { errorText } from '@routy/proto/base';
import { expectSignalOption } from '../../arguments/arguments.ts';
import type { ByteReceiver } from '../byte-stream.ts';
import { ByteChannel, resetCodeOf, type StreamResetError } from './byte-channel.ts';

type Done = (error?: Error | null) => void;

/**
 * A stream as Node's `Duplex`: half-close is `end()`, and a reset by the peer is an `error` with the
 * reset's code. `destroy()` resets the stream: with the code of its error where that is one of a
 * stream, else with `cancelled`. Chunks are sent without a copy: they are not to be changed later.
 */
export class StreamDuplex extends Duplex {
  readonly #channel: ByteChannel;
  /** More is wanted than was pushed. */
  #isWanting = false;
  #chunk: Uint8Array | undefined;
  #done: Done | undefined;

  /** `signal` destroys it. */
  constructor(options: { readonly signal?: AbortSignal } = {}) {
    expectSignalOption(options);
    super({ allowHalfOpen: true });
    this.#channel = new ByteChannel({
      onReadable: () => this.#pump(),
      onWritable: () => this.#writeOn(),
      onReset: (error) => this.#failed(error),
      onFinished: () => undefined,
    });
    // Not by the options of Duplex: a signal that has fired would destroy what is not made yet.
    if (options.signal !== undefined) addAbortSignal(options.signal, this);
  }

  /** What the stream is opened or accepted with. */
  get receiver(): ByteReceiver {
    return this.#channel;
  }

  override _read(): void {
    this.#isWanting = true;
    this.#pump();
  }

  /** An error would drop what Node still holds of the bytes before it. */
  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this.#destroyIfFailed();
    return chunk;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#done = done;
    if (this.#channel.error !== undefined) this.#written();
    else if (this.#channel.canSend) this.#send(chunk);
    else this.#chunk = chunk;
  }

  override _final(done: Done): void {
    this.#channel.end();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    const reason = error === null ? 'destroyed' : errorText(error);
    // What was sent before both ends goes on, as with a socket.
    if (!this.#channel.hasEnded) this.#channel.abort(resetCodeOf(error), reason);
    done(error);
  }

  #pump(): void {
    while (this.#isWanting && !this.destroyed) {
      const piece = this.#channel.take();
      if (piece === undefined) break;
      this.#isWanting = this.push(piece);
    }
    if (this.#isWanting && this.#channel.atEnd && !this.destroyed) {
      this.#isWanting = false;
      this.push(null);
    }
    this.#destroyIfFailed();
  }

  #send(chunk: Uint8Array): void {
    this.#channel.send(chunk);
    if (this.#channel.canSend) this.#written();
  }

  #writeOn(): void {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    if (chunk === undefined) this.#written();
    else this.#send(chunk);
  }

  #written(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  /**
   * What came before a reset of the connection is read first, and what is written meanwhile goes
   * nowhere, as with a socket. With any other reset, or nothing to read, it is destroyed at once.
   */
  #failed(error: StreamResetError): void {
    if (error.code !== 'connection-reset') {
      this.destroy(error);
      return;
    }
    this.#pump();
    this.#chunk = undefined;
    if (!this.destroyed) this.#written();
  }

  #destroyIfFailed(): void {
    const { error } = this.#channel;
    if (error === undefined || this.destroyed || this.#channel.hasBytes) return;
    if (this.readableLength === 0) this.destroy(error);
  }
}
