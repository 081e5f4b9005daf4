import type { Lane } from '@routy/link/transport';
import { formatAddress } from '@routy/proto/base';
import type { PeerConfig } from '../config/types.ts';
import { nodeName } from '../sessions/live-sessions.ts';
import type { PeerStatus } from '../status/status.ts';
import { type DialPeer, PeerSupervisor, type SupervisorOwner } from './peer-supervisor.ts';
import type { SessionHost } from './session-host.ts';

/** All configured peers: each is dialled for as long as the node runs. */
export class Peers {
  readonly #host: SessionHost;
  readonly #dial: DialPeer;
  readonly #byKey = new Map<string, Peer>();
  #running = false;

  constructor(configs: Iterable<PeerConfig>, host: SessionHost, dial: DialPeer) {
    this.#host = host;
    this.#dial = dial;
    for (const config of configs) this.add(config);
  }

  start(): void {
    this.#running = true;
    for (const peer of this.#byKey.values()) peer.start();
  }

  /** Begins no session any more; those there are go on, and lost lanes of theirs are dialled. */
  stopDialling(): void {
    this.#running = false;
    for (const peer of this.#byKey.values()) peer.stopDialling();
  }

  add(config: PeerConfig): void {
    const peer = new Peer(config, this.#host, this.#dial);
    this.#byKey.set(peerKey(config), peer);
    if (this.#running) peer.start();
  }

  /** Another number of lanes for a peer that is known by its addresses and its proxy. */
  change(config: PeerConfig): void {
    this.#byKey.get(peerKey(config))?.change(config);
  }

  /** Forgets the peer, ends its session and says how many streams that reset. */
  remove(config: PeerConfig): number {
    const peer = this.#byKey.get(peerKey(config));
    this.#byKey.delete(peerKey(config));
    return peer?.remove() ?? 0;
  }

  /** Ends every session. */
  close(reason: string): void {
    for (const peer of this.#byKey.values()) peer.close('shutdown', reason);
  }

  /** Whether a configured address leads to the node `site/node`, or did when it last answered. */
  includes(name: string): boolean {
    return [...this.#byKey.values()].some((peer) => peer.includes(name));
  }

  get size(): number {
    return this.#byKey.size;
  }

  status(): PeerStatus[] {
    return [...this.#byKey.values()].flatMap((peer) => peer.status());
  }
}

/**
 * One configured peer. Its addresses may lead to another node than before (a virtual address that
 * has moved, a balancer): then that one serves at once, and the session with the former waits for
 * its lanes by itself, until they are back or the former is surely gone.
 */
class Peer implements SupervisorOwner {
  #config: PeerConfig;
  readonly #host: SessionHost;
  readonly #dial: DialPeer;
  #current: PeerSupervisor;
  /** With sessions to nodes that the addresses led to before, at most one for each. */
  readonly #former = new Set<PeerSupervisor>();
  #running = false;

  constructor(config: PeerConfig, host: SessionHost, dial: DialPeer) {
    this.#config = config;
    this.#host = host;
    this.#dial = dial;
    this.#current = new PeerSupervisor(config, host, dial, this);
  }

  start(): void {
    this.#running = true;
    this.#current.start();
  }

  stopDialling(): void {
    this.#running = false;
    for (const each of this.#all()) each.stopDialling();
  }

  change(config: PeerConfig): void {
    this.#config = config;
    for (const each of this.#all()) each.setLanes(config.lanes);
  }

  /** Configured no more. */
  remove(): number {
    this.stopDialling();
    return this.#all().reduce((streams, each) => streams + each.remove(), 0);
  }

  close(code: 'normal' | 'shutdown', reason: string): number {
    return this.#all().reduce((streams, each) => streams + each.close(code, reason), 0);
  }

  includes(name: string): boolean {
    return this.#all().some((each) => each.name === name);
  }

  status(): PeerStatus[] {
    return this.#all().map((each) => each.status());
  }

  onOtherNode(from: PeerSupervisor, lane: Lane): boolean {
    const name = nodeName(lane.peer);
    const awaiting = this.#all().find((each) => each.awaits(name));
    if (awaiting !== undefined) return awaiting.adopt(lane);
    if (from !== this.#current || !this.#running) return false;
    from.retire();
    this.#former.add(from);
    this.#current = new PeerSupervisor(this.#config, this.#host, this.#dial, this);
    this.#current.startWith(lane);
    return true;
  }

  onRetired(supervisor: PeerSupervisor): void {
    this.#former.delete(supervisor);
  }

  /** The one that serves comes first. */
  #all(): PeerSupervisor[] {
    return [this.#current, ...this.#former];
  }
}

function peerKey({ addresses, via }: PeerConfig): string {
  return `${addresses.map(formatAddress).join(',')} ${via ?? ''}`;
}
