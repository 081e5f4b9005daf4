import type { Lane, LaneHandlers } from '../../../packages/link/src/transport/lane.ts';
import type { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import type { Identity } from '../../../packages/proto/src/base/identity.ts';

/** A lane whose other end is the test: what was written to it, and what happens on it. */
export class FakeLane implements Lane {
  readonly peer: Identity;
  readonly direction: Lane['direction'];
  readonly remoteAddress = '192.0.2.1:7443';
  readonly localAddress = '192.0.2.2:50000';
  readonly security = 'none';
  readonly exporter = new Uint8Array(32).fill(7);
  readonly queuedBytes = 0;
  readonly written: Uint8Array[] = [];
  /** How it was ended here. */
  ended: 'end' | 'destroy' | undefined;
  takes = true;
  /** Nothing of it is read at the moment. */
  paused = false;
  #handlers: LaneHandlers | undefined;

  constructor(peer: Identity, direction: Lane['direction'] = 'accepted') {
    this.peer = peer;
    this.direction = direction;
  }

  bind(handlers: LaneHandlers): void {
    this.#handlers = handlers;
  }

  write(buffers: readonly Uint8Array[]): boolean {
    this.written.push(...buffers);
    return this.takes;
  }

  end(): void {
    this.ended ??= 'end';
  }

  destroy(): void {
    this.ended = 'destroy';
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  data(chunk: Uint8Array): void {
    this.#handlers!.onData(chunk);
  }

  /** As {@link data}; the memory is used again afterwards. */
  lend(chunk: Uint8Array): void {
    const own = new Uint8Array(chunk);
    this.#handlers!.onLent!(own);
    own.fill(0xdb);
  }

  drain(): void {
    this.#handlers!.onDrain();
  }

  close(error?: RoutyError): void {
    this.#handlers!.onClose(error);
  }
}
