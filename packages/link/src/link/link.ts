import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { errorText, type Identity } from '@routy/proto/base';
import {
  expectBoolean,
  expectObject,
  expectSignalOption,
  expectText,
  type KeysOf,
} from '../arguments/arguments.ts';
import { createPools } from '../driver/session-options.ts';
import { TRANSPORT_CHARS_MAX } from '../locators/candidate.ts';
import type { Locator } from '../locators/inquiry.ts';
import { Locators } from '../locators/locators.ts';
import { ProcessSessions } from '../peers/process-sessions.ts';
import { Protocols } from '../protocols/protocols.ts';
import { Statistics } from '../stats/statistics.ts';
import { StreamResetError } from '../streams/adapters/byte-channel.ts';
import { abortReason, following, onAbort } from '../transport/deadline.ts';
import { LinkError } from '../transport/link-error.ts';
import type { TransportAddress, TransportListener } from '../transport/transport.ts';
import { type ConverseOptions, expectConversation, LinkConversation } from './conversing.ts';
import {
  checkedDestination,
  type Destination,
  Destinations,
  expectNodeName,
} from './destinations.ts';
import type { Protocol } from './incoming.ts';
import { LinkCore } from './link-core.ts';
import type { LinkEvents } from './link-events.ts';
import {
  credentialsOf,
  expectLinkOptions,
  helloOf,
  identityOf,
  limitsOf,
  type LinkOptions,
  timesOf,
} from './link-options.ts';
import { AcceptedPeers } from './peer/accepted-peers.ts';
import { DialledPeer, type DialOptions, expectDialOptions } from './peer/dialled-peer.ts';
import { tellListeners } from './peer/listeners.ts';
import { Peer } from './peer/peer.ts';
import { checkedProtocol, type ProtocolOptions } from './protocol-options.ts';
import { Transports } from './transports.ts';

/** Where peers may dial this node. */
export interface ListenAt {
  /** `tls`, `tcp`, `unix`, or the name of one that `createLink` was given. */
  readonly transport: string;
  /** Where it listens; port 0 is one that the system chooses, see the result of `listen`. */
  readonly address: TransportAddress;
  /** Plain TCP is meant: nothing is encrypted and nobody proves who it is. */
  readonly insecure?: boolean;
}

const LISTEN_KEYS: KeysOf<ListenAt> = { transport: true, address: true, insecure: true };

interface Owned {
  readonly signal?: AbortSignal | undefined;
}

/**
 * A node of its own in this process, which neither listens nor dials yet.
 *
 * @throws LinkError `credentials-invalid`, `nat-map-invalid`, `argument-invalid`
 */
export function createLink(options: LinkOptions): Link {
  return new Link(options);
}

/**
 * One node of a fabric: it listens, dials and keeps peers, and opens and accepts streams in sessions
 * that outlive their connections. Several may be in one process.
 */
export class Link extends EventEmitter<LinkEvents> {
  /** Who this node is: of its certificate, or as `createLink` was told. */
  readonly identity: Identity;
  /** Counts of everything this link carries; for snapshots, `subscribe` and prom-client. */
  readonly statistics: Statistics;
  readonly #locators: Locators;
  readonly #protocols = new Protocols<Protocol>();
  readonly #transports: Transports;
  readonly #destinations: Destinations;
  readonly #sessions: ProcessSessions;
  readonly #core: LinkCore;
  /** Those whose claims are proven, and the others, are kept apart. */
  readonly #accepted: Readonly<Record<'proven' | 'claimed', AcceptedPeers>>;
  readonly #dialled = new Set<DialledPeer>();
  readonly #listeners = new Set<TransportListener>();
  readonly #beat: NodeJS.Timeout;
  /** Fires when the link is closed: what goes on by itself ends with it. */
  readonly #ending = new AbortController();
  #closing: Promise<void> | undefined;

  /** @throws LinkError `credentials-invalid`, `nat-map-invalid`, `argument-invalid` */
  constructor(options: LinkOptions) {
    super();
    expectLinkOptions(options);
    const current = credentialsOf(options);
    this.identity = identityOf(options, current?.());
    const times = timesOf(options);
    const limits = limitsOf(options);
    const said = helloOf(this.identity, times, options);
    this.statistics = new Statistics({
      heartbeatIntervalMs: times.heartbeatIntervalMs,
      over: this.#ending.signal,
    });
    this.#locators = new Locators(options.locators);
    this.#transports = new Transports(this.identity, current, options.transports);
    this.#destinations = new Destinations(this.#locators, this.#transports, options.dialling);
    this.#sessions = new ProcessSessions({
      ...said,
      instance: randomBytes(16).toString('hex'),
      times,
      limits,
      pools: createPools(limits),
    });
    this.#core = new LinkCore(this.statistics, this.#protocols, (event, ...args) => {
      // Not from within a session's round: what a listener throws is not the session's.
      queueMicrotask(() => this.#tell(event, args));
    });
    this.#accepted = {
      proven: new AcceptedPeers(this.#sessions, this.#core),
      claimed: new AcceptedPeers(this.#sessions, this.#core),
    };
    this.#beat = setInterval(() => this.#core.beat(), times.heartbeatIntervalMs);
    this.#beat.unref();
  }

  /** The peers with a session, those that wait for a lane too. */
  get peers(): Peer[] {
    return this.#core.peers();
  }

  /**
   * Lets peers dial this node at an address, until `signal` fires or the result is closed.
   *
   * @throws LinkError `listen-…`, `address-invalid`, `transport-unknown`, `insecure-not-allowed`,
   *   `link-closed`, `credentials-invalid`
   */
  async listen(at: ListenAt, options: Owned = {}): Promise<TransportListener> {
    expectObject('at', at, LISTEN_KEYS);
    expectText('at.transport', at.transport, TRANSPORT_CHARS_MAX);
    expectBoolean('at.insecure', at.insecure);
    expectSignalOption(options);
    const { signal } = options;
    this.#mustBeOpen();
    if (signal?.aborted) throw abortReason(signal, 'listening');
    const { transport: name, address, insecure = false } = at;
    const transport = this.#transports.get(name, insecure);
    const accepted = this.#accepted[transport.isProven ? 'proven' : 'claimed'];
    const listener = await transport.listen(address, {
      onLane: (lane) => {
        if (!transport.isProven) this.#sessions.claimed(lane);
        accepted.acceptor.onLane(lane);
      },
      onRefused: ({ remoteAddress, code, reason }) =>
        this.#core.onRefused({ remoteAddress, code, reason }),
      onError: (error) => this.#core.tell('listenerFailed', error, address),
      onReopened: () => this.#core.tell('listenerReopened', address),
    });
    const stop = () => void close();
    const close = async () => {
      signal?.removeEventListener('abort', stop);
      if (this.#listeners.delete(listening)) await listener.close();
    };
    const listening: TransportListener = {
      get address() {
        return listener.address;
      },
      close,
    };
    this.#listeners.add(listening);
    if (signal !== undefined) onAbort(signal, stop);
    // Closed while it was being opened.
    if (signal?.aborted || this.#closing !== undefined) await close();
    return listening;
  }

  /**
   * Dials a peer and keeps it up, until it is closed or `signal` fires: lanes that are lost are dialled
   * again, with back-off and jitter, and what they carried goes on. Several candidates race; a logical
   * name is located anew at each attempt. Does not wait: see `Peer.ready`.
   *
   * @throws LinkError `link-closed`, `argument-invalid`, `locate-name-invalid`, and
   *   `transport-unknown`, `insecure-not-allowed`, `address-invalid` when no candidate could ever be dialled
   */
  dial(destination: Destination, options: DialOptions = {}): Peer {
    expectDialOptions(options);
    const wanted = checkedDestination(destination);
    this.#mustBeOpen();
    this.#destinations.expectDialable(wanted, options.insecure ?? false);
    const dialled = new DialledPeer(
      {
        sessions: this.#sessions,
        destinations: this.#destinations,
        keeper: this.#core,
      },
      wanted,
      options,
      () => void this.#dialled.delete(dialled),
    );
    this.#dialled.add(dialled);
    this.#core.know(dialled.peer);
    if (options.signal?.aborted) dialled.close('its signal has fired');
    else dialled.start();
    return dialled.peer;
  }

  /**
   * A peer by its name `site/node`, whoever of the two dialled; waits until there is one. Of several
   * sessions those that have proven the name come before those that only claim it (`Peer.isProven`), and
   * one that has a lane before one that waits.
   *
   * @throws LinkError `link-closed`, `argument-invalid`, or what `signal` fired with
   */
  async peer(name: string, options: Owned = {}): Promise<Peer> {
    expectNodeName(name);
    expectSignalOption(options);
    this.#mustBeOpen();
    return this.#core.peerNamed(name, options.signal);
  }

  /**
   * Speaks a protocol until `signal` fires. The last registration of a name answers for it; when it
   * goes, the one before it does again.
   *
   * @throws LinkError `argument-invalid`, `link-closed`
   */
  protocol(protocol: ProtocolOptions, options: Owned = {}): void {
    expectSignalOption(options);
    const checked = checkedProtocol(protocol);
    this.#mustBeOpen();
    this.#protocols.register(checked, options);
  }

  /**
   * Speaks with a peer for as long as `signal` lets it: the stream is opened again whenever it is lost,
   * with back-off, and the behaviour told why. `whom` is the name `site/node` of a peer whoever of the two
   * dialled, a destination, which is dialled for it, or a peer: one that is dialled until it is closed,
   * and one that has dialled stands for its name, since it goes with its session.
   *
   * @throws LinkError `link-closed`, `peer-closed`, `argument-invalid`, `locate-name-invalid`
   */
  converse<Message, Request = never, Answer = never>(
    whom: Peer | string | Destination,
    options: ConverseOptions<Message, Request, Answer>,
  ): LinkConversation<Message, Request, Answer> {
    expectConversation(options);
    if (typeof whom === 'string') expectNodeName(whom);
    this.#mustBeOpen();
    const { controller, leave } = following(this.#ending.signal, options.signal);
    const { signal } = controller;
    const peer = this.#toSpeakWith(whom, signal);
    const over = peer instanceof Peer ? peer.over : undefined;
    const stop = () => controller.abort(over?.reason);
    if (over !== undefined) onAbort(over, stop);
    const conversation = new LinkConversation(options, {
      statistics: this.statistics,
      findPeer: (wanted) =>
        typeof peer === 'string' ? this.peer(peer, { signal: wanted }) : Promise.resolve(peer),
      signal,
    });
    void conversation.over.finally(() => {
      leave();
      over?.removeEventListener('abort', stop);
      // What was dialled for it goes with it.
      controller.abort();
    });
    return conversation;
  }

  /**
   * Registers a locator of a kind of logical names; see `Locators.locate`.
   *
   * @throws LinkError `argument-invalid`, `link-closed`
   */
  locate(kind: string, locator: Locator, options: Owned = {}): void {
    expectSignalOption(options);
    const { signal } = options;
    this.#mustBeOpen();
    this.#locators.locate(kind, locator, signal === undefined ? {} : { signal });
  }

  /** Counts of what the locators were asked; see `Locators.counts`. */
  get locators(): Pick<Locators, 'counts' | 'total' | 'unknownCount'> {
    return this.#locators;
  }

  /**
   * Tells every peer to open nothing new, and resolves when no stream is open any more.
   *
   * @throws what `signal` fired with: streams are left then
   */
  async drain(options: Owned = {}): Promise<void> {
    expectSignalOption(options);
    const { signal } = options;
    if (signal?.aborted) throw abortReason(signal, 'draining');
    this.#core.isDraining = true;
    for (const peer of this.peers) peer.session?.driver.drain();
    await this.#core.whenIdle(signal);
  }

  /**
   * Ends everything: listeners, peers, sessions; streams that are open are reset at both ends, see
   * `drain`. Resolves when no connection is left; `signal` cuts those that are.
   */
  async close(options: Owned = {}): Promise<void> {
    expectSignalOption(options);
    const { signal } = options;
    this.#closing ??= this.#close();
    if (signal === undefined) return this.#closing;
    const cut = () => {
      for (const lane of this.#sessions.lanes()) lane.destroy();
    };
    onAbort(signal, cut);
    if (signal.aborted) cut();
    return this.#closing.finally(() => signal.removeEventListener('abort', cut));
  }

  #toSpeakWith(whom: Peer | string | Destination, signal: AbortSignal): Peer | string {
    if (typeof whom === 'string') return whom;
    if (!(whom instanceof Peer)) return this.dial(whom, { signal });
    const { name, state } = whom;
    if (state === 'closed' || (whom.direction === 'accepted' && name === undefined)) {
      throw new LinkError('peer-closed', 'the peer is closed', {
        hint: "say its name 'site/node', and the conversation goes on with whichever session it has",
      });
    }
    return whom.direction === 'accepted' ? name! : whom;
  }

  async #close(): Promise<void> {
    const reason = 'the link was closed';
    clearInterval(this.#beat);
    this.#ending.abort(closedError());
    for (const { acceptor } of Object.values(this.#accepted)) acceptor.beginNoMore(reason);
    const closing = [...this.#listeners].map((listener) => listener.close());
    for (const dialled of [...this.#dialled]) dialled.close(reason, 'shutdown');
    for (const { acceptor } of Object.values(this.#accepted)) acceptor.close(reason);
    this.#core.closed(closedError());
    this.#protocols.close();
    this.#locators.close();
    await Promise.all(closing);
    await this.#sessions.emptied();
  }

  #tell<E extends keyof LinkEvents>(event: E, args: LinkEvents[E]): void {
    const isOfListener = event === 'listenerThrew';
    if (isOfListener && this.listenerCount(event) === 0) throw args[0];
    if (event === 'acceptFailed' && this.listenerCount(event) === 0) {
      const [error, protocol] = args as LinkEvents['acceptFailed'];
      warnOfFailed(error, protocol);
    }
    tellListeners(this, event, args, (error) => {
      if (isOfListener) throw error;
      this.#core.onListenerThrew(error, event);
    });
  }

  #mustBeOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }
}

/** A failure that the program asked to hear of nowhere; what it refuses on purpose is none. */
function warnOfFailed(error: unknown, protocol: string): void {
  if (error instanceof StreamResetError) return;
  process.emitWarning(
    `the accept or reply function of ${protocol} has failed: ${errorText(error)}`,
    {
      code: 'ROUTY_ACCEPT_FAILED',
      detail: "link.on('acceptFailed', (error, protocol) => …) hears of it instead of this warning",
    },
  );
}

function closedError(): LinkError {
  return new LinkError('link-closed', 'the link was closed', {
    hint: 'make another one with createLink',
  });
}
