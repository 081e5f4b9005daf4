import { invariant } from '../../base/errors.ts';

/** What a budget stands under. */
export interface BudgetParent {
  readonly used: number;
  /** Bytes that may still be taken when only a share (0..1) of it and of what is above may be used. */
  roomWithin(share: number): number;
  take(bytes: number): void;
  release(bytes: number): void;
  /** `tellExhausted` is called in the middle of the `take` that leaves no room. */
  attach(tellExhausted: () => void): void;
  detach(tellExhausted: () => void): void;
}

/**
 * A number of bytes that may be held, shared by many holders. A budget may stand under a parent:
 * what is taken from it is taken from the parent too.
 */
export class Budget implements BudgetParent {
  readonly limit: number;
  readonly #parent: BudgetParent | undefined;
  readonly #onExhausted: (() => void) | undefined;
  readonly #children = new Set<() => void>();
  readonly #tell = () => this.#tellExhausted();
  #used = 0;
  #closed = false;

  /** `onExhausted` is called in the middle of the `take` that uses up this budget or the parent. */
  constructor(limit: number, parent?: BudgetParent, onExhausted?: () => void) {
    this.limit = limit;
    this.#parent = parent;
    this.#onExhausted = onExhausted;
    parent?.attach(this.#tell);
  }

  get used(): number {
    return this.#used;
  }

  /** Bytes that may still be taken, here and above; zero or less when there are none. */
  get room(): number {
    return this.roomWithin(1);
  }

  /** Bytes that it may hold at the moment, those it has included. */
  get mayHold(): number {
    return Math.max(0, Math.floor(this.#used + this.room));
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
    invariant(bytes >= 0 && !this.#closed, 'what is taken from a budget', bytes);
    const hadRoom = this.#used < this.limit;
    this.#used += bytes;
    if (hadRoom && this.#used >= this.limit) this.#tellExhausted();
    this.#parent?.take(bytes);
  }

  release(bytes: number): void {
    if (this.#closed) return;
    invariant(
      bytes >= 0 && bytes <= this.#used,
      'more is given back than a budget has lent',
      bytes,
      this.#used,
    );
    this.#used -= bytes;
    this.#parent?.release(bytes);
  }

  attach(tellExhausted: () => void): void {
    this.#children.add(tellExhausted);
  }

  detach(tellExhausted: () => void): void {
    this.#children.delete(tellExhausted);
  }

  /** All of it is given back at once, whatever holders give back yet; nobody has to be told anything. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parent?.release(this.#used);
    this.#used = 0;
    this.#parent?.detach(this.#tell);
  }

  #tellExhausted(): void {
    this.#onExhausted?.();
    for (const tell of this.#children) tell();
  }
}
