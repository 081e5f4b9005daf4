import { EventEmitter, once } from 'node:events';
import type { LinkBehaviour, LinkStream } from '@routy/link';
import { json } from '../shared/codec.ts';
import { digestOf, type Item, type Partitions } from './partitions.ts';

const ITEMS_AT_ONCE = 200;

/** From the owner, in this order: what moves, all of it, and that this was all. */
type FromOwner =
  | { readonly move: string; readonly as: string }
  | { readonly items: readonly Item[] }
  | { readonly digest: string };

/** From the next owner: what it has on its disk, until it owns it. */
type FromNext = { readonly have: number } | { readonly owned: true };

const UUID = /^[0-9a-f-]{36}$/;

export const CODECS = { 1: json<FromOwner | FromNext>() };

/** Moves one partition. It begins where the next owner says, after a cut or a crash of either. */
export class Mover implements LinkBehaviour<FromOwner | FromNext> {
  readonly #partitions: Partitions;
  readonly #partition: string;
  readonly #onMoved: () => void;
  readonly #told = new EventEmitter<{ have: [] }>();
  /** The ownership here, and the one that it becomes. */
  readonly #id: string;
  readonly #next: string;
  #step: 'move' | 'items' | 'digest' | 'wait' = 'move';
  /** Items that have been sent; undefined until the next owner has said how many it has. */
  #sent: number | undefined;

  constructor(partitions: Partitions, partition: string, onMoved: () => void) {
    this.#partitions = partitions;
    this.#partition = partition;
    const { id, next } = partitions.stateOf(partition)!;
    this.#id = id;
    this.#next = next!;
    this.#onMoved = onMoved;
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
    if ('owned' in message && this.#step !== 'wait') {
      this.#step = 'wait';
      this.#partitions.release(this.#partition);
      this.#onMoved();
    }
    if (!('have' in message)) return;
    this.#sent ??= message.have;
    this.#told.emit('have');
  }

  async #nextItems(signal: AbortSignal): Promise<FromOwner> {
    while (this.#sent === undefined) await once(this.#told, 'have', { signal });
    const all = this.#partitions.items(this.#id).records;
    const items = all.slice(this.#sent, this.#sent + ITEMS_AT_ONCE);
    this.#sent += items.length;
    if (items.length > 0) return { items };
    this.#step = 'digest';
    return { digest: digestOf(all) };
  }
}

/** The other end: what has come is on the disk before it is told, and so is the ownership. */
export async function takeOver(stream: LinkStream, partitions: Partitions): Promise<string> {
  const messages = stream.messages({ codecs: CODECS });
  const first = await messages.receive();
  if (first.done || !('move' in first.value)) throw new Error('nothing is said to move');
  const { move: partition, as: id } = first.value;
  if (!UUID.test(id)) throw new Error(`${id} is no name of an ownership`);
  const answer = () =>
    partitions.hasTaken(id)
      ? { owned: true as const }
      : { have: partitions.items(id).records.length };
  await messages.send(answer());
  for await (const message of messages) {
    if ('items' in message) partitions.items(id).append(...message.items);
    if ('digest' in message && !partitions.hasTaken(id)) {
      if (digestOf(partitions.items(id).records) !== message.digest) {
        partitions.discard(id);
        throw new Error(`what came of ${partition} is not what was sent`);
      }
      partitions.take(partition, id);
    }
    await messages.send(answer());
  }
  messages.end();
  return partition;
}
