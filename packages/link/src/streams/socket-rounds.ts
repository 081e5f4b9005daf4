/** How often some of them are looked at, in ms. */
const TICK_MS = 250;

/** So many of them at a time are asked whether they are over, which costs next to nothing. */
const SWEEP_MEMBERS = 8192;

/**
 * A member's place in the rounds. Who is over sets it to undefined, and is kept in memory by nobody
 * then; who does not is found to be over before long.
 */
export interface Seat<T> {
  member: T | undefined;
}

/**
 * Looks at the sockets of its members in turn, a bounded number at a time, so that many cost no
 * pause. Most connections are over before the first look: joining and leaving cost next to nothing.
 */
export class SocketRounds<T> {
  readonly #atOnce: number;
  readonly #isOver: (member: T) => boolean;
  readonly #look: (member: T) => boolean;
  /** Since the last tick. */
  #joined: Seat<T>[] = [];
  readonly #members = new Set<Seat<T>>();
  readonly #looking = new RoundRobin(this.#members);
  readonly #sweeping = new RoundRobin(this.#members);
  #timer: NodeJS.Timeout | undefined;

  /** `look` is called for up to `atOnce` members every 250 ms; false: not again. */
  constructor(atOnce: number, isOver: (member: T) => boolean, look: (member: T) => boolean) {
    this.#atOnce = atOnce;
    this.#isOver = isOver;
    this.#look = look;
  }

  /** It stays until it is over, or leaves its seat. */
  join(member: T): Seat<T> {
    const seat = { member };
    this.#joined.push(seat);
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
    return seat;
  }

  #tick(): void {
    const joined = this.#joined;
    this.#joined = [];
    for (const seat of joined) if (this.#taken(seat) !== undefined) this.#members.add(seat);
    this.#sweep(SWEEP_MEMBERS + joined.length);
    for (let left = Math.min(this.#atOnce, this.#members.size); left > 0; left--) {
      const seat = this.#looking.next();
      const member = seat && this.#taken(seat);
      if (member !== undefined && !this.#look(member)) this.#members.delete(seat!);
    }
    if (this.#members.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Those that are over are let go long before their turn: many that live must not keep them. */
  #sweep(count: number): void {
    for (let left = Math.min(count, this.#members.size); left > 0; left--) {
      const seat = this.#sweeping.next();
      if (seat !== undefined && this.#taken(seat) === undefined) this.#members.delete(seat);
    }
  }

  /** Who has the seat; undefined when it has left or is over. */
  #taken({ member }: Seat<T>): T | undefined {
    return member === undefined || this.#isOver(member) ? undefined : member;
  }
}

/** Members of a set one after the other, over and over. */
class RoundRobin<T> {
  readonly #members: ReadonlySet<T>;
  #round: Iterator<T> | undefined;

  constructor(members: ReadonlySet<T>) {
    this.#members = members;
  }

  /** Undefined at the end of a round. */
  next(): T | undefined {
    this.#round ??= this.#members.values();
    const next = this.#round.next();
    if (next.done !== true) return next.value;
    this.#round = undefined;
    return undefined;
  }
}
