import { performance } from 'node:perf_hooks';
import type { IncomingStream } from '../driver/driver-types.ts';
import type { Protocols } from '../protocols/protocols.ts';
import type { Statistics } from '../stats/statistics.ts';
import { abortReason, onAbort } from '../transport/deadline.ts';
import { type IncomingOwner, type Protocol, takeIncoming, takeOn } from './incoming.ts';
import type { LinkEvents } from './link-events.ts';
import type { AcceptanceOwner, Refused } from './peer/accepted-peers.ts';
import type { Peer } from './peer/peer.ts';
import { Replies } from './replies.ts';
import type { LinkSession } from './session/link-session.ts';
import type { GoOn, LinkStream } from './session/link-stream.ts';
import { CALL, type StreamRequest } from './session/stream-request.ts';

/** How often a link that drains looks whether streams are open, in ms. */
const IDLE_LOOK_MS = 20;

/** Peers that are named to who waits for one. */
const NAMES_MAX = 8;

const DRAIN_HINT =
  'a stream is over when both ends have ended it and read to the end; close resets it';

interface Waiter {
  readonly name: string;
  resolve(peer: Peer): void;
  reject(error: Error): void;
}

/** Tells the users of a link. */
export type TellLink = <E extends keyof LinkEvents>(event: E, ...args: LinkEvents[E]) => void;

/** The peers and sessions that a link has now, and what they bring. */
export class LinkCore implements AcceptanceOwner, IncomingOwner {
  readonly statistics: Statistics;
  readonly protocols: Protocols<Protocol>;
  isDraining = false;
  readonly tell: TellLink;
  readonly #replies = new Replies(this);
  readonly #sessions = new Set<LinkSession>();
  readonly #peers = new Set<Peer>();
  readonly #peerOf = new WeakMap<LinkSession, Peer>();
  readonly #waiting = new Set<Waiter>();

  constructor(statistics: Statistics, protocols: Protocols<Protocol>, tell: TellLink) {
    this.statistics = statistics;
    this.protocols = protocols;
    this.tell = tell;
    const accept: Protocol['accept'] = (stream, peer, session) =>
      this.#replies.answer(stream, peer, session);
    protocols.register({ name: CALL, versions: [1], capabilities: [], accept });
  }

  /** Those with a session. */
  peers(): Peer[] {
    return [...this.#peers].filter(({ session }) => session !== undefined);
  }

  /** One that is dialled is known from the first on, until it is closed. */
  know(peer: Peer): void {
    this.#peers.add(peer);
  }

  onPeerUp(peer: Peer): void {
    this.#serve(peer);
  }

  onListenerThrew(error: unknown, event: string): void {
    this.tell('listenerThrew', error, event);
  }

  peerNamed(name: string, signal: AbortSignal | undefined): Promise<Peer> {
    if (signal?.aborted) return Promise.reject(this.#inVain(name, signal));
    const named = this.peers().filter((peer) => peer.name === name);
    // Who only claims the name gets nothing that is meant for who has proven it.
    const proven = named.filter(({ isProven }) => isProven);
    const able = proven.length > 0 ? proven : named;
    const best = able.find(({ state }) => state === 'up') ?? able[0];
    if (best !== undefined) return Promise.resolve(best);
    return new Promise((resolve, reject) => {
      const stop = () => waiter.reject(this.#inVain(name, signal!));
      const settle = () => {
        signal?.removeEventListener('abort', stop);
        this.#waiting.delete(waiter);
      };
      const waiter: Waiter = {
        name,
        resolve: (peer) => {
          settle();
          resolve(peer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      this.#waiting.add(waiter);
      if (signal !== undefined) onAbort(signal, stop);
      if (signal?.aborted) stop();
    });
  }

  /** The name may be misspelt: who is there is said with it. */
  #inVain(name: string, signal: AbortSignal): Error {
    const there = [...new Set(this.peers().map((peer) => peer.name!))];
    const shown = there.slice(0, NAMES_MAX).join(', ') + (there.length > NAMES_MAX ? ', …' : '');
    const hint =
      there.length > 0
        ? `with a session: ${shown}`
        : 'no peer has a session: dial it, or listen where it dials';
    return abortReason(signal, `waiting for ${name}`, hint);
  }

  /** At the pace of heartbeats. */
  beat(): void {
    const nowMs = performance.now();
    for (const session of this.#sessions) session.beat(nowMs);
  }

  /** Resolves when no stream is open. */
  whenIdle(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const open = [...this.#sessions].reduce((sum, { stats }) => sum + stats.streams, 0);
        if (signal?.aborted)
          reject(abortReason(signal, `draining (streams open: ${open})`, DRAIN_HINT));
        else if (open > 0) return;
        else resolve();
        clearInterval(timer);
      };
      const timer = setInterval(look, IDLE_LOOK_MS);
      look();
    });
  }

  /** Nobody comes any more. */
  closed(error: Error): void {
    for (const waiter of [...this.#waiting]) waiter.reject(error);
  }

  began(session: LinkSession): void {
    this.#sessions.add(session);
    if (this.isDraining) session.driver.drain();
  }

  ended(session: LinkSession): void {
    this.#sessions.delete(session);
  }

  onStream(stream: IncomingStream, session: LinkSession): void {
    takeIncoming(stream, session, this);
  }

  goOn(session: LinkSession): GoOn {
    return (take) => takeOn(take, session, this);
  }

  takeReply(incoming: IncomingStream, session: LinkSession): boolean {
    return this.#replies.take(incoming, session);
  }

  askFor(
    session: LinkSession,
    request: StreamRequest,
    signal: AbortSignal | undefined,
  ): Promise<LinkStream> {
    return this.#replies.ask(session, request, signal);
  }

  onPeer(peer: Peer): void {
    this.#peers.add(peer);
    this.tell('peer', peer);
  }

  onPeerClosed(peer: Peer): void {
    this.#peers.delete(peer);
  }

  onRefused(refused: Refused): void {
    this.tell('refused', refused);
  }

  onAcceptError(error: unknown, protocol: string): void {
    this.tell('acceptFailed', error, protocol);
  }

  belongs(session: LinkSession, peer: Peer): void {
    this.#peerOf.set(session, peer);
  }

  peerOf(session: LinkSession): Peer {
    return this.#peerOf.get(session)!;
  }

  /** Those that wait for a peer of that name. */
  #serve(peer: Peer): void {
    for (const waiter of [...this.#waiting]) {
      if (waiter.name === peer.name) waiter.resolve(peer);
    }
  }
}
