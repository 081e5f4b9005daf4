import { types } from 'node:util';
import { errorText } from '@routy/proto/base';
import type { StreamCode } from '@routy/proto/wire';
import { invalidArgument } from '../../transport/link-error.ts';
import type { ByteReceiver, ByteStream } from '../byte-stream.ts';
import { expectReset } from './byte-channel.ts';

const METHODS = [
  ...(['attach', 'detach', 'data', 'flush', 'fin'] as const),
  ...(['writable', 'pause', 'finished', 'reset'] as const),
] satisfies readonly (keyof ByteReceiver)[];

/** @throws LinkError `argument-invalid` unless it has what a session calls */
export function expectReceiver(given: ByteReceiver): void {
  const missing = METHODS.find((name) => typeof given?.[name] !== 'function');
  if (missing === undefined) return;
  throw invalidArgument('receiver', `a ByteReceiver: it has no function ${missing}`, given);
}

/**
 * A receiver of the program's own, which is called from within the round of a session: what it throws
 * ends its stream and nothing else.
 */
export class GuardedReceiver implements ByteReceiver {
  readonly #receiver: ByteReceiver;
  #stream: ByteStream | undefined;
  #isOver = false;

  constructor(receiver: ByteReceiver) {
    this.#receiver = receiver;
  }

  get untouched(): boolean {
    return this.#receiver.untouched === true;
  }

  attach(stream: ByteStream): void {
    this.#stream = stream;
    this.#guarded(() => this.#receiver.attach(checking(stream)));
  }

  detach(): void {
    this.#stream = undefined;
    this.#guarded(() => this.#receiver.detach());
  }

  data(bytes: Uint8Array): void {
    if (this.#isOver) return;
    try {
      this.#receiver.data(bytes);
    } catch (error) {
      this.#failed(error);
    }
  }

  flush(): void {
    this.#guarded(() => this.#receiver.flush());
  }

  fin(): void {
    this.#guarded(() => this.#receiver.fin());
  }

  writable(): void {
    this.#guarded(() => this.#receiver.writable());
  }

  pause(): void {
    this.#guarded(() => this.#receiver.pause());
  }

  finished(): void {
    this.#stream = undefined;
    this.#guarded(() => this.#receiver.finished());
  }

  reset(code: StreamCode, reason: string): boolean {
    let isDone = true;
    this.#guarded(() => {
      isDone = this.#receiver.reset(code, reason) !== false;
    });
    return isDone || this.#isOver;
  }

  #guarded(call: () => void): void {
    if (this.#isOver) return;
    try {
      call();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream?.reset('internal', `its receiver failed: ${errorText(error)}`);
  }
}

/** The stream as a receiver of the program's own has it: nothing but bytes goes out. */
function checking(stream: ByteStream): ByteStream {
  return {
    id: stream.id,
    peer: stream.peer,
    protocol: stream.protocol,
    service: stream.service,
    write: (chunk) => {
      if (!types.isUint8Array(chunk)) throw invalidArgument('chunk', 'a Uint8Array', chunk);
      return stream.write(chunk);
    },
    end: () => stream.end(),
    reset: (code, reason) => {
      expectReset(code, reason);
      stream.reset(code, reason);
    },
    delivered: (bytes) => stream.delivered(bytes),
    finDelivered: () => stream.finDelivered(),
    flushLater: () => stream.flushLater(),
  };
}
