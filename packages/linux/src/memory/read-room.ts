import type { NativeMemory } from '../system/native-memory.ts';

/** Most bytes of one read: what a lane of the other end gives to its system at once. */
export const READ_BYTES_MAX = 144 * 1024;

const POISON = 0xdb;

/**
 * Where all sockets of a process read to, one after the other. So it stays in the cache, and nobody counts who
 * uses it: what was read is passed on within the read, and whoever keeps some of it copies that.
 */
export class ReadRoom {
  readonly address: number;
  readonly #bytes: Uint8Array;
  readonly #poisons: boolean;

  /** `memory` has {@link READ_BYTES_MAX}. `poisons`, for tests: who keeps a view too long reads nonsense. */
  constructor(memory: NativeMemory, poisons: boolean) {
    this.address = memory.address;
    this.#bytes = memory.bytes;
    this.#poisons = poisons;
  }

  /** Passes on the first `count` bytes, which were read just now. */
  lend(count: number, to: { onData(bytes: Uint8Array): void }): void {
    const bytes = this.#bytes.subarray(0, count);
    to.onData(bytes);
    if (this.#poisons) bytes.fill(POISON);
  }
}
