import { Succession } from '@routy/link/peers';
import type { Lane } from '@routy/link/transport';
import { formatAddress } from '@routy/proto/base';
import type { PeerConfig } from '../config/types.ts';
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

/** One configured peer, whichever nodes its addresses lead to. */
class Peer implements SupervisorOwner {
  #config: PeerConfig;
  readonly #succession: Succession<PeerSupervisor>;

  constructor(config: PeerConfig, host: SessionHost, dial: DialPeer) {
    this.#config = config;
    this.#succession = new Succession(() => new PeerSupervisor(this.#config, host, dial, this));
  }

  start(): void {
    this.#succession.start();
  }

  stopDialling(): void {
    this.#succession.stopDialling();
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
    return this.#succession.onOtherNode(from, lane);
  }

  onRetired(supervisor: PeerSupervisor): void {
    this.#succession.onRetired(supervisor);
  }

  #all(): PeerSupervisor[] {
    return this.#succession.all();
  }
}

function peerKey({ addresses, via }: PeerConfig): string {
  return `${addresses.map(formatAddress).join(',')} ${via ?? ''}`;
}
