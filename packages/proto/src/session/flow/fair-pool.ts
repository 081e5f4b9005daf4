import type { BudgetParent } from './budget.ts';

/** Share of a pool that is kept for those who hold little: each holder has an equal part of it. */
const GUARANTEED_SHARE = 1 / 4;

/** The guaranteed part is one of so many, or of as many as there are holders when these are more. */
const PARTS_MIN = 8;

/** Most that one holder takes of what others leave of the rest; the last of it is for newcomers. */
const REST_SHARE = 15 / 16;

/** With less than this of the rest left, what one holder takes may end the room of another. */
const SHORT_SHARE = 1 / 4;

/**
 * A number of bytes that several holders share fairly. A quarter of it is guaranteed, in equal
 * parts: whoever holds less than its part gets room, whatever the others hold. Of the rest each may
 * have most of what the others leave, so that one alone has nearly all, and its share falls when
 * others take theirs: what it holds above that it gives back as it is used up, and it gets no more.
 * (Dynamic thresholds, as switches share their packet memory: Choudhury and Hahne, 1998.)
 */
export class FairPool {
  readonly limit: number;
  readonly #shares = new Map<string, FairShare>();
  #used = 0;
  /** What holders have beyond their guaranteed parts. */
  #excess = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** Those that have a share now. */
  get holders(): number {
    return this.#shares.size;
  }

  /** Bytes that a holder may have whatever the others have. */
  get guaranteed(): number {
    return (this.limit * GUARANTEED_SHARE) / Math.max(this.#shares.size, PARTS_MIN);
  }

  /** The holder's share, which lasts while anything stands under it. */
  of(holder: string): FairShare {
    return this.#shares.get(holder) ?? new FairShare(this, holder);
  }

  /** Most bytes that somebody with `used` bytes may have at the moment. */
  capOf(used: number): number {
    const { guaranteed } = this;
    const othersExcess = this.#excess - Math.max(0, used - guaranteed);
    const left = Math.max(0, this.#rest() - othersExcess);
    return guaranteed + REST_SHARE * left;
  }

  join(share: FairShare): void {
    this.#shares.set(share.holder, share);
    this.#recount();
  }

  leave(share: FairShare): void {
    this.#shares.delete(share.holder);
    this.#recount();
  }

  /** A holder has `after` bytes instead of `before`. */
  changed(before: number, after: number): void {
    const { guaranteed } = this;
    this.#used += after - before;
    const excess = Math.max(0, after - guaranteed) - Math.max(0, before - guaranteed);
    this.#excess += excess;
    if (excess === 0 || this.#rest() - this.#excess > this.#rest() * SHORT_SHARE) return;
    for (const share of this.#shares.values()) share.check();
  }

  /** What is not guaranteed to anybody. */
  #rest(): number {
    return this.limit * (1 - GUARANTEED_SHARE);
  }

  /** The guaranteed part has changed, and with it what is beyond. */
  #recount(): void {
    const { guaranteed } = this;
    this.#excess = 0;
    for (const { used } of this.#shares.values()) this.#excess += Math.max(0, used - guaranteed);
  }
}

/** One holder's share of a {@link FairPool}. */
export class FairShare implements BudgetParent {
  readonly holder: string;
  readonly #pool: FairPool;
  readonly #children = new Set<() => void>();
  #used = 0;
  #exhausted = false;

  constructor(pool: FairPool, holder: string) {
    this.#pool = pool;
    this.holder = holder;
  }

  get used(): number {
    return this.#used;
  }

  /** Most bytes it may have at the moment. */
  get cap(): number {
    return this.#pool.capOf(this.#used);
  }

  roomWithin(share: number): number {
    return this.cap * share - this.#used;
  }

  take(bytes: number): void {
    const before = this.#used;
    this.#used += bytes;
    this.#pool.changed(before, this.#used);
    this.check();
  }

  release(bytes: number): void {
    const before = this.#used;
    this.#used -= bytes;
    this.#pool.changed(before, this.#used);
    this.check();
  }

  /** Tells everybody under it once when there is no room any more. */
  check(): void {
    const exhausted = this.roomWithin(1) <= 0;
    if (exhausted && !this.#exhausted) for (const tell of this.#children) tell();
    this.#exhausted = exhausted;
  }

  attach(tellExhausted: () => void): void {
    if (this.#children.size === 0) this.#pool.join(this);
    this.#children.add(tellExhausted);
  }

  detach(tellExhausted: () => void): void {
    if (this.#children.delete(tellExhausted) && this.#children.size === 0) this.#pool.leave(this);
  }
}
