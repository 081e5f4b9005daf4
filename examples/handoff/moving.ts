import { EventEmitter, once } from 'node:events';
import type { LinkBehaviour, LinkStream } from '@routy/link';
import { json } from '../shared/codec.ts';
import { digestOf, type Item, type Partitions } from './partitions.ts';

const ITEMS_AT_ONCE = 200;

/** From the owner, in this order: what moves, all of it from somewhere on, and that this was all. */
type FromOwner =
  | { readonly move: string; readonly as: string }
  | { readonly from: number; readonly items: readonly Item[] }
  | { readonly digest: string };

/** From the next owner: what it has on its disk, until it owns it. */
type FromNext = { readonly have: number } | { readonly owned: true };

const UUID = /^[0-9a-f-]{36}$/;

export const CODECS = { 1: json<FromOwner | FromNext>() };

/** What is told of a move. */
interface MoveEvents {
  /** At each beginning: how many items of all the next owner has already. */
  goesOn(have: number, all: number): void;
  moved(): void;
}

/** Moves one partition. It begins where the next owner says, after a cut or a crash of either. */
export class Mover implements LinkBehaviour<FromOwner | FromNext> {
  readonly #partitions: Partitions;
  readonly #partition: string;
  readonly #events: MoveEvents;
  readonly #told = new EventEmitter<{ have: [] }>();
  readonly #items: readonly Item[];
  /** The ownership that it becomes. */
  readonly #next: string;
  #step: 'move' | 'items' | 'wait' = 'move';
  /** Items that have been sent; undefined until the next owner has said how many it has. */
  #sent: number | undefined;

  constructor(partitions: Partitions, partition: string, events: MoveEvents) {
    const { id, next } = partitions.stateOf(partition)!;
    this.#partitions = partitions;
    this.#partition = partition;
    this.#events = events;
    this.#items = partitions.items(id).records;
    this.#next = next!;
  }

  established(): void {
    this.#step = 'move';
    this.#sent = undefined;
  }

  async next(signal: AbortSignal): Promise<FromOwner | undefined> {
    switch (this.#step) {
      case 'move':
        this.#step = 'items';
        return { move: this.#partition, as: this.#next };
      case 'items':
        return this.#nextItems(signal);
      default:
        return undefined;
    }
  }

  message(message: FromOwner | FromNext): void {
    if ('owned' in message) {
      this.#step = 'wait';
      this.#partitions.release(this.#partition, this.#next);
      this.#events.moved();
    }
    if (!('have' in message) || this.#sent !== undefined) return;
    this.#sent = message.have;
    this.#events.goesOn(message.have, this.#items.length);
    this.#told.emit('have');
  }

  async #nextItems(signal: AbortSignal): Promise<FromOwner> {
    while (this.#sent === undefined) await once(this.#told, 'have', { signal });
    const from = this.#sent;
    const items = this.#items.slice(from, from + ITEMS_AT_ONCE);
    this.#sent += items.length;
    if (items.length > 0) return { from, items };
    this.#step = 'wait';
    return { digest: digestOf(this.#items) };
  }
}

/** The other end: what has come is on the disk before it is told, and so is the ownership. */
export async function takeOver(stream: LinkStream, partitions: Partitions): Promise<string> {
  const messages = stream.messages({ codecs: CODECS });
  const first = await messages.receive();
  if (first.done || !('move' in first.value)) throw new Error('nothing is said to move');
  const { move: partition, as: id } = first.value;
  if (!UUID.test(id)) throw new Error(`${id} is no name of an ownership`);
  partitions.receive(partition, id);
  const answer = () =>
    partitions.hasTaken(id)
      ? { owned: true as const }
      : { have: partitions.items(id).records.length };
  await messages.send(answer());
  for await (const message of messages) {
    if ('items' in message) partitions.add(partition, id, message.from, message.items);
    if ('digest' in message) partitions.take(partition, id, message.digest);
    await messages.send(answer());
  }
  messages.end();
  return partition;
}
