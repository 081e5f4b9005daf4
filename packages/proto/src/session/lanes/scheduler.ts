/** A stream with no more than this to send is interactive: it goes before bulk. */
const INTERACTIVE_BYTES_MAX = 16 * 1024;

/** Interactive turns after which a bulk stream gets one, so that nothing starves. */
const INTERACTIVE_TURNS_MAX = 8;

/** What has its turn on lanes: a stream. */
export interface Scheduled {
  readonly send: { readonly unsentBytes: number };
  /** The queue it waits in for its turn. */
  scheduledOn: object | undefined;
}

/** Streams of a lane that have something to send, in turn, interactive before bulk. */
export class Scheduler<S extends Scheduled> {
  readonly #interactive = new Fifo<S>();
  readonly #bulk = new Fifo<S>();
  /** Streams that have enough on this lane: they wait for other lanes. */
  readonly #parked = new Set<S>();
  #interactiveTurns = 0;

  /** Puts a stream at the end of its queue; does nothing while it waits already. */
  add(stream: S): void {
    if (stream.scheduledOn === this && !this.#parked.delete(stream)) return;
    stream.scheduledOn = this;
    const queue = stream.send.unsentBytes <= INTERACTIVE_BYTES_MAX ? this.#interactive : this.#bulk;
    queue.push(stream);
  }

  /** The stream whose turn it is, or undefined. It may have moved to another lane meanwhile. */
  next(): S | undefined {
    const stream = this.#choose();
    if (stream?.scheduledOn === this) stream.scheduledOn = undefined;
    return stream;
  }

  /** Leaves a stream whose turn it was to other lanes, until it is added again. */
  park(stream: S): void {
    this.#parked.add(stream);
    stream.scheduledOn = this;
  }

  /** The stream is here no more. */
  unpark(stream: S): void {
    if (this.#parked.delete(stream)) stream.scheduledOn = undefined;
  }

  /** The bulk stream that waits longest, for another lane to take its turn; or undefined. */
  nextBulk(): S | undefined {
    const [parked] = this.#parked;
    if (parked !== undefined) this.#parked.delete(parked);
    const stream = parked ?? this.#bulk.shift();
    if (stream?.scheduledOn === this) stream.scheduledOn = undefined;
    return stream;
  }

  get hasBulk(): boolean {
    return !this.#bulk.empty || this.#parked.size > 0;
  }

  get empty(): boolean {
    return this.#interactive.empty && this.#bulk.empty;
  }

  #choose(): S | undefined {
    const bulkDue = this.#interactiveTurns >= INTERACTIVE_TURNS_MAX && !this.#bulk.empty;
    if (bulkDue || this.#interactive.empty) {
      this.#interactiveTurns = 0;
      return this.#bulk.shift();
    }
    this.#interactiveTurns++;
    return this.#interactive.shift();
  }
}

/** A queue with constant-time removal at its head. */
class Fifo<T> {
  #items: T[] = [];
  #head = 0;

  get empty(): boolean {
    return this.#head === this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.empty) return undefined;
    const item = this.#items[this.#head++];
    if (this.empty || (this.#head >= 64 && this.#head * 2 >= this.#items.length)) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
