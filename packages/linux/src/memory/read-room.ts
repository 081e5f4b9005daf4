import { SLAB_BYTES, type Slab, type SlabPool } from './slab-pool.ts';

/** Most bytes of one read: what a lane of the other end gives to its system at once. */
export const READ_BYTES_MAX = 144 * 1024;

/** Less room than this is not read into: another slab is taken. */
const ROOM_MIN = 16 * 1024;

/**
 * Where the sockets of a process read to, one after the other: small reads share a slab, and what
 * nobody has kept is read over.
 */
export class ReadRoom {
  readonly #pool: SlabPool;
  #slab: Slab | undefined;
  #filled = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** The slab to read into, from {@link at} on and up to {@link length} bytes. */
  get slab(): Slab {
    this.#slab ??= this.#pool.take();
    return this.#slab;
  }

  get at(): number {
    return this.#filled;
  }

  get length(): number {
    return Math.min(READ_BYTES_MAX, SLAB_BYTES - this.#filled);
  }

  /** So many bytes were read, and somebody keeps them. */
  keep(bytes: number): void {
    this.#filled += bytes;
    if (SLAB_BYTES - this.#filled < ROOM_MIN) this.#leave();
  }

  /** Nothing is read for now: a slab that nobody keeps anything of goes back to its pool. */
  rest(): void {
    const slab = this.#slab;
    if (slab?.holders === 1 && !slab.isSurrendered) this.#leave();
  }

  /** Nothing is read any more. */
  close(): void {
    this.#leave();
  }

  #leave(): void {
    this.#slab?.release();
    this.#slab = undefined;
    this.#filled = 0;
  }
}
