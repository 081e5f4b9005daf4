import { createHash, randomUUID } from 'node:crypto';
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
  /** At the site that takes it: coming, owned. At the one that gives it away: moving, gone. */
  readonly state: 'coming' | 'owned' | 'moving' | 'gone';
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
export class Partitions {
  readonly #data: string;
  readonly #ledger: Journal<Event>;
  readonly #items = new Map<string, Journal<Item>>();

  constructor(data: string) {
    this.#data = data;
    this.#ledger = new Journal(join(data, 'ledger.jsonl'));
    // A crash may have come between the line and the removal.
    for (const { id } of this.#all().filter(({ state }) => state === 'gone')) this.#forget(id);
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
    const moving = this.#all().filter(({ state, to }) => state === 'moving' && to === site);
    return moving.map(({ partition }) => partition);
  }

  /** The items of an ownership, complete or on their way. */
  items(id: string): Journal<Item> {
    const known = this.#items.get(id);
    if (known !== undefined) return known;
    const journal = new Journal<Item>(this.#fileOf(id));
    this.#items.set(id, journal);
    return journal;
  }

  /** Makes one that no site has yet: which site does that is for people to say, once. */
  create(partition: string): void {
    const event = this.stateOf(partition);
    if (event !== undefined) throw new Error(`${partition} is ${event.state} here already`);
    this.#ledger.append({ partition, state: 'owned', id: randomUUID() });
  }

  put(partition: string, item: Item): void {
    this.items(this.#owned(partition).id).append(item);
  }

  /** From now on it takes no writes. */
  move(partition: string, to: string): void {
    const event = this.#owned(partition);
    this.#ledger.append({ ...event, state: 'moving', to, next: randomUUID() });
  }

  /** It is the other side's now, which has said so; said again it changes nothing. */
  release(partition: string, next: string): void {
    const event = this.stateOf(partition);
    // It may have come back since, and that is another ownership.
    if (event?.state !== 'moving' || event.next !== next) return;
    this.#ledger.append({ ...event, state: 'gone' });
    this.#forget(event.id);
  }

  /** An ownership begins to come, or goes on to; one that has been taken over stays as it is. */
  receive(partition: string, id: string): void {
    const event = this.stateOf(partition);
    if (this.hasTaken(id) || (event?.state === 'coming' && event.id === id)) return;
    if (event !== undefined && event.state !== 'gone') {
      throw new Error(`${partition} cannot come: it is ${event.state} here`);
    }
    this.#ledger.append({ partition, state: 'coming', id });
  }

  /** Takes items that come, if they follow what is here: what was sent before a crash may still come. */
  add(partition: string, id: string, from: number, items: readonly Item[]): void {
    const isExpected = this.#isComing(partition, id) && from === this.items(id).records.length;
    if (isExpected) this.items(id).append(...items);
  }

  /** It is this side's from now on, if all items have come. */
  take(partition: string, id: string, digest: string): void {
    if (!this.#isComing(partition, id)) return;
    if (digestOf(this.items(id).records) !== digest) {
      this.#forget(id);
      throw new Error(`what came of ${partition} is not what was sent; it comes again`);
    }
    this.#ledger.append({ partition, state: 'owned', id });
  }

  /** The last event of each. */
  #all(): Event[] {
    const last = new Map(this.#ledger.records.map((event) => [event.partition, event]));
    return [...last.values()];
  }

  #owned(partition: string): Event {
    const event = this.stateOf(partition);
    if (event?.state === 'owned') return event;
    if (event === undefined) throw new Error(`${partition} is not here: create it, at one site`);
    throw new Error(`${partition} is ${event.state}${event.to ? ` to ${event.to}` : ''}`);
  }

  #isComing(partition: string, id: string): boolean {
    const event = this.stateOf(partition);
    return event?.state === 'coming' && event.id === id;
  }

  #forget(id: string): void {
    this.#items.get(id)?.close();
    this.#items.delete(id);
    rmSync(this.#fileOf(id), { force: true });
  }

  #fileOf(id: string): string {
    return join(this.#data, `${id}.jsonl`);
  }
}

export function digestOf(items: readonly Item[]): string {
  return createHash('sha256').update(JSON.stringify(items)).digest('hex');
}
