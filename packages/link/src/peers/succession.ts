import { nodeName } from '@routy/proto/base';
import type { Lane } from '../transport/lane.ts';

/** What one destination leads to, for as long as it is one node: a dialler and what is about it. */
export interface Successor {
  /** Begins to dial. */
  start(): void;
  /** As `start`, with a lane that was dialled already. */
  startWith(lane: Lane): void;
  /** Another one begins sessions from now on; the one there is goes on, or waits for its lanes. */
  retire(): void;
  /** Begins no session any more. */
  stopDialling(): void;
  /** Takes a lane that was dialled for another; false when it has use for none. */
  adopt(lane: Lane): boolean;
  /** Its session is with that node, `site/node`, and waits for a lane. */
  awaits(name: string): boolean;
}

/**
 * One destination. Its addresses may lead to another node than before (a virtual address that has
 * moved, a balancer, a cluster): then that one serves at once, and the session with the former waits
 * for its lanes by itself, until they are back or the former is surely gone.
 */
export class Succession<S extends Successor> {
  readonly #make: () => S;
  #current: S;
  /** With sessions to nodes that the addresses led to before, at most one for each. */
  readonly #former = new Set<S>();
  #running = false;

  constructor(make: () => S) {
    this.#make = make;
    this.#current = make();
  }

  /** The one that serves. */
  get current(): S {
    return this.#current;
  }

  /** The one that serves comes first. */
  all(): S[] {
    return [this.#current, ...this.#former];
  }

  /** Begins to dial. */
  start(): void {
    this.#running = true;
    this.#current.start();
  }

  /** Begins no session any more; those there are go on. */
  stopDialling(): void {
    this.#running = false;
    for (const each of this.all()) each.stopDialling();
  }

  /** The session of `from` waits, and its addresses lead elsewhere. True when the lane was taken. */
  onOtherNode(from: S, lane: Lane): boolean {
    const name = nodeName(lane.peer);
    const awaiting = this.all().find((each) => each.awaits(name));
    if (awaiting !== undefined) return awaiting.adopt(lane);
    if (from !== this.#current || !this.#running) return false;
    from.retire();
    this.#former.add(from);
    this.#current = this.#make();
    this.#current.startWith(lane);
    return true;
  }

  /** One that was told to retire has no session any more. */
  onRetired(each: S): void {
    this.#former.delete(each);
  }
}
