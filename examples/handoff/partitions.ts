import { createHash, randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Journal } from '../shared/journal.ts';

/** What one partition holds: each record sets a key. */
export interface Item {
  readonly key: string;
  readonly value: string;
}

/** What has become of a partition here; the last line of it holds. */
interface Event {
  readonly partition: string;
  readonly state: 'owned' | 'moving' | 'gone';
  /** Of this ownership: another one each time it is taken over, also by who has had it before. */
  readonly id: string;
  /** The site it moves to, and the ownership there: a move that is told twice is known by it. */
  readonly to?: string;
  readonly next?: string;
}

/**
 * The partitions of one site. Who owns one says a single line of a journal, on either side: written
 * there before the other is told, and so an owner is never missing and never two of them take writes.
 */
export class Partitions extends EventEmitter<{ moving: [partition: string] }> {
  readonly #data: string;
  readonly #ledger: Journal<Event>;
  readonly #items = new Map<string, Journal<Item>>();

  constructor(data: string) {
    super();
    this.#data = data;
    this.#ledger = new Journal(join(data, 'ledger.jsonl'));
  }

  stateOf(partition: string): Event | undefined {
    return this.#ledger.records.findLast((event) => event.partition === partition);
  }

  /** The ownership has been taken over here, at whatever time. */
  hasTaken(id: string): boolean {
    return this.#ledger.records.some((event) => event.id === id && event.state === 'owned');
  }

  /** Those that are on their way to a site. */
  movingTo(site: string): string[] {
    const all = new Set(this.#ledger.records.map(({ partition }) => partition));
    return [...all].filter((partition) => {
      const event = this.stateOf(partition);
      return event?.state === 'moving' && event.to === site;
    });
  }

  put(partition: string, item: Item): void {
    const event = this.stateOf(partition);
    if (event?.state === 'moving') throw new Error(`${partition} is moving to ${event.to}`);
    if (event?.state === 'gone') throw new Error(`${partition} has gone to ${event.to}`);
    const id = event?.id ?? randomUUID();
    if (event === undefined) this.#ledger.append({ partition, state: 'owned', id });
    this.items(id).append(item);
  }

  /** From now on it takes no writes. */
  move(partition: string, to: string): void {
    const event = this.stateOf(partition);
    if (event?.state !== 'owned') throw new Error(`${partition} is ${event?.state ?? 'not here'}`);
    this.#ledger.append({ ...event, state: 'moving', to, next: randomUUID() });
    this.emit('moving', partition);
  }

  /** It is the other side's now, which has said so. */
  release(partition: string): void {
    const event = this.stateOf(partition)!;
    this.#ledger.append({ ...event, state: 'gone' });
    this.#forget(event.id);
  }

  /** It is this side's from now on, with the items that have come. */
  take(partition: string, id: string): void {
    this.#ledger.append({ partition, state: 'owned', id });
  }

  /** The items of an ownership, complete or on their way. */
  items(id: string): Journal<Item> {
    const known = this.#items.get(id);
    if (known !== undefined) return known;
    const journal = new Journal<Item>(this.#fileOf(id));
    this.#items.set(id, journal);
    return journal;
  }

  /** Items that came and are not those that were sent. */
  discard(id: string): void {
    this.#forget(id);
  }

  #forget(id: string): void {
    this.items(id).close();
    this.#items.delete(id);
    rmSync(this.#fileOf(id));
  }

  #fileOf(id: string): string {
    return join(this.#data, `${id}.jsonl`);
  }
}

export function digestOf(items: readonly Item[]): string {
  return createHash('sha256').update(JSON.stringify(items)).digest('hex');
}
