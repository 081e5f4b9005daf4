import { invariant } from '@routy/proto/base';
import type { NativeMemory } from '../system/native-memory.ts';

export const SLAB_BYTES = 256 * 1024;

/** Slabs that wait for their next use, at most: 16 MiB. */
const FREE_MAX = 64;

/** What nobody has needed for so long is given back, in ms. */
const IDLE_MS = 1000;

const POISON = 0xdb;

export interface SlabPoolOptions {
  /** Memory of {@link SLAB_BYTES}. */
  allocate(): NativeMemory;
  /**
   * Overwrites what is given back, and looks whether that is still there when it is taken again: who
   * keeps a view of it too long reads nonsense, and who writes is found out. For tests.
   */
  readonly poisons?: boolean | undefined;
  readonly freeMax?: number | undefined;
  readonly idleMs?: number | undefined;
}

/**
 * A piece of memory with a count of those who use it; it goes back to its pool when nobody does. A view
 * of it is valid while its holder is counted.
 */
export class Slab {
  readonly bytes: Uint8Array;
  readonly address: number;
  readonly #pool: SlabPool;
  #holders = 0;
  #isSurrendered = false;

  constructor(pool: SlabPool, memory: NativeMemory) {
    this.#pool = pool;
    this.bytes = memory.bytes;
    this.address = memory.address;
  }

  get holders(): number {
    return this.#holders;
  }

  /** It is used again by nobody: views of it are valid for as long as they are kept. */
  get isSurrendered(): boolean {
    return this.#isSurrendered;
  }

  retain(): void {
    this.#holders++;
  }

  release(): void {
    invariant(this.#holders > 0, 'a slab is released that nobody holds');
    this.#holders--;
    if (this.#holders === 0) this.#pool.takeBack(this);
  }

  /** Leaves it to whoever keeps a view without being counted: the garbage collector frees it. */
  surrender(): void {
    if (this.#isSurrendered) return;
    this.#isSurrendered = true;
    this.#pool.strikeOff();
  }
}

/** Slabs, used again and again; as many are kept as were needed lately. */
export class SlabPool {
  readonly #allocate: () => NativeMemory;
  readonly #poisons: boolean;
  readonly #freeMax: number;
  readonly #idleMs: number;
  readonly #free: Slab[] = [];
  #held = 0;
  /** Fewest free since the last look: so many were not needed. */
  #unneeded = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SlabPoolOptions) {
    this.#allocate = () => options.allocate();
    this.#poisons = options.poisons ?? false;
    this.#freeMax = options.freeMax ?? FREE_MAX;
    this.#idleMs = options.idleMs ?? IDLE_MS;
  }

  /** Slabs that somebody holds and that will come back. */
  get held(): number {
    return this.#held;
  }

  /** Slabs that wait for their next use. */
  get free(): number {
    return this.#free.length;
  }

  /** The caller holds it. */
  take(): Slab {
    const known = this.#free.pop();
    if (known !== undefined && this.#poisons) expectPoison(known);
    this.#unneeded = Math.min(this.#unneeded, this.#free.length);
    const slab = known ?? new Slab(this, this.#allocate());
    slab.retain();
    this.#held++;
    return slab;
  }

  /** By {@link Slab.release}: nobody holds it any more. */
  takeBack(slab: Slab): void {
    if (slab.isSurrendered) return;
    this.#held--;
    if (this.#free.length >= this.#freeMax) return;
    if (this.#poisons) slab.bytes.fill(POISON);
    this.#free.push(slab);
    this.#timer ??= setInterval(() => this.#look(), this.#idleMs).unref();
  }

  /** By {@link Slab.surrender}: one will not come back. */
  strikeOff(): void {
    this.#held--;
  }

  #look(): void {
    this.#free.splice(0, this.#unneeded);
    this.#unneeded = this.#free.length;
    if (this.#free.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** What a slab looks like that nobody holds. */
const POISONED = Buffer.alloc(SLAB_BYTES, POISON);

function expectPoison({ bytes }: Slab): void {
  invariant(POISONED.equals(bytes), 'a slab was written to after it was given back');
}
