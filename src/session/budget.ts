/**
 * A number of bytes that may be held, shared by many holders. A budget may stand under a parent:
 * what is taken from it is taken from the parent too.
 */
export class Budget {
  readonly limit: number;
  readonly #parent: Budget | undefined;
  readonly #onExhausted: (() => void) | undefined;
  readonly #children = new Set<Budget>();
  #used = 0;

  /** `onExhausted` is called in the middle of the `take` that uses up this budget or the parent. */
  constructor(limit: number, parent?: Budget, onExhausted?: () => void) {
    this.limit = limit;
    this.#parent = parent;
    this.#onExhausted = onExhausted;
    if (parent !== undefined && onExhausted !== undefined) parent.#children.add(this);
  }

  get used(): number {
    return this.#used;
  }

  /** Bytes that may still be taken, here and above; zero or less when there are none. */
  get room(): number {
    return this.roomWithin(1);
  }

  /** The same, when only a share (0..1) of it and of what is above may be used. */
  roomWithin(share: number): number {
    const here = this.limit * share - this.#used;
    return this.#parent === undefined ? here : Math.min(here, this.#parent.roomWithin(share));
  }

  /** True when less than `share` (0..1) of it is used, here and above. */
  usedLessThan(share: number): boolean {
    return this.roomWithin(share) > 0;
  }

  /** Takes `bytes` when they fit, here and above. */
  tryTake(bytes: number): boolean {
    if (bytes > this.room) return false;
    this.take(bytes);
    return true;
  }

  /** Takes `bytes` that are already held, even past the limit: the holder pauses by `room`. */
  take(bytes: number): void {
    const hadRoom = this.#used < this.limit;
    this.#used += bytes;
    if (hadRoom && this.#used >= this.limit) this.#tellExhausted();
    this.#parent?.take(bytes);
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#parent?.release(bytes);
  }

  /** Is told nothing any more; what it holds stays counted until it is released. */
  detach(): void {
    if (this.#parent !== undefined) this.#parent.#children.delete(this);
  }

  #tellExhausted(): void {
    this.#onExhausted?.();
    for (const child of this.#children) child.#tellExhausted();
  }
}
