import { EventEmitter, once } from 'node:events';
import type { LinkBehaviour, LinkStream } from '@routy/link';
import { json } from '../shared/codec.ts';
import type { Queued, Store } from './store.ts';

/** From the site that sends. */
type ToNeighbour = Queued;
/** From the one that takes: how far it has come. */
interface Acknowledged {
  readonly acknowledged: number;
}

export const CODECS = { 1: json<ToNeighbour | Acknowledged>() };

/**
 * Sends a neighbour what it has not acknowledged. At each establishment the neighbour says first how
 * far it has come, which it knows after a crash too: this side needs to remember nothing.
 */
export class Feed implements LinkBehaviour<ToNeighbour | Acknowledged> {
  readonly #store: Store;
  readonly #neighbour: string;
  readonly #told = new EventEmitter<{ position: [] }>();
  /** Up to here the neighbour has everything on its disk. */
  #acknowledged = 0;
  /** The number that was sent last; undefined until the neighbour has said where to begin. */
  #position: number | undefined;

  constructor(store: Store, neighbour: string) {
    this.#store = store;
    this.#neighbour = neighbour;
  }

  /** Entries that the neighbour needs and has not acknowledged. */
  get behind(): number {
    return this.#store.countFor(this.#neighbour, this.#acknowledged);
  }

  established(): void {
    this.#position = undefined;
  }

  message(message: ToNeighbour | Acknowledged): void {
    if (!('acknowledged' in message)) return;
    this.#acknowledged = message.acknowledged;
    if (this.#position !== undefined) return;
    this.#position = message.acknowledged;
    this.#told.emit('position');
  }

  async next(signal: AbortSignal): Promise<ToNeighbour> {
    while (this.#position === undefined) await once(this.#told, 'position', { signal });
    const queued = await this.#store.nextFor(this.#neighbour, this.#position, signal);
    this.#position = queued.number;
    return queued;
  }
}

/** The other end of a feed: what has come is on the disk before it is acknowledged. */
export async function takeFeed(stream: LinkStream, store: Store): Promise<void> {
  const neighbour = stream.peer.site;
  const messages = stream.messages({ codecs: CODECS });
  const acknowledge = () => messages.send({ acknowledged: store.heardOf(neighbour) });
  await acknowledge();
  for await (const batch of messages.batches()) {
    store.take(
      neighbour,
      batch.filter((message) => 'entry' in message),
    );
    await acknowledge();
  }
  messages.end();
}
