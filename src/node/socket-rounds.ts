/** How often some of them are looked at, in ms. */
const TICK_MS = 250;

/** Members that are over cost nothing to visit: so many more of them than are looked at. */
const VISITS_FACTOR = 4;

/**
 * Looks at the sockets of its members in turn, a bounded number at a time, so that many cost no
 * pause. Most connections are over before the first look: joining costs next to nothing, and
 * nobody has to leave.
 */
export class SocketRounds<T> {
  readonly #atOnce: number;
  readonly #isOver: (member: T) => boolean;
  readonly #look: (member: T) => boolean;
  /** Since the last tick. */
  #joined: T[] = [];
  readonly #members = new Set<T>();
  #round: Iterator<T> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `look` is called for up to `atOnce` members every 250 ms; false: not again. */
  constructor(atOnce: number, isOver: (member: T) => boolean, look: (member: T) => boolean) {
    this.#atOnce = atOnce;
    this.#isOver = isOver;
    this.#look = look;
  }

  /** It stays until it is over. */
  join(member: T): void {
    this.#joined.push(member);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  #tick(): void {
    let visits = VISITS_FACTOR * this.#atOnce + this.#joined.length;
    for (const member of this.#joined) if (!this.#isOver(member)) this.#members.add(member);
    this.#joined = [];
    visits = Math.min(visits, this.#members.size);
    for (let looks = 0; visits > 0 && looks < this.#atOnce; visits--) {
      const member = this.#next();
      if (member === undefined) continue;
      const isOver = this.#isOver(member);
      if (!isOver) looks++;
      if (isOver || !this.#look(member)) this.#members.delete(member);
    }
    if (this.#members.size === 0) this.#stop();
  }

  /** Undefined at the end of a round. */
  #next(): T | undefined {
    this.#round ??= this.#members.values();
    const next = this.#round.next();
    if (next.done !== true) return next.value;
    this.#round = undefined;
    return undefined;
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#round = undefined;
  }
}
