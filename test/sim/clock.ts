/** Something that happens at a virtual time; `cancelled` keeps it from happening. */
export interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** Virtual time and what is to happen in it: a binary heap, first by time, then by order of entry. */
export class Clock {
  readonly #heap: Task[] = [];
  #nowMs = 0;
  #order = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `run` at `atMs`, now at the earliest. */
  at(atMs: number, run: () => void): Task {
    const task = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run, cancelled: false };
    this.#heap.push(task);
    this.#up(this.#heap.length - 1);
    return task;
  }

  after(delayMs: number, run: () => void): Task {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Tasks that wait. */
  get pending(): number {
    return this.#heap.reduce((count, task) => count + (task.cancelled ? 0 : 1), 0);
  }

  /** Runs the next task that is due by `untilMs`; false when there is none, and it is `untilMs` then. */
  step(untilMs: number): boolean {
    for (;;) {
      const task = this.#heap[0];
      if (task === undefined || task.atMs > untilMs) {
        this.#nowMs = untilMs;
        return false;
      }
      this.#pop();
      if (task.cancelled) continue;
      this.#nowMs = task.atMs;
      task.run();
      return true;
    }
  }

  #pop(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#down(0);
  }

  #up(start: number): void {
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(start: number): void {
    let at = start;
    for (;;) {
      let first = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#heap.length && this.#before(child, first)) first = child;
      }
      if (first === at) return;
      this.#swap(at, first);
      at = first;
    }
  }

  #before(a: number, b: number): boolean {
    const first = this.#heap[a]!;
    const second = this.#heap[b]!;
    return first.atMs < second.atMs || (first.atMs === second.atMs && first.order < second.order);
  }

  #swap(a: number, b: number): void {
    const task = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = task;
  }
}
