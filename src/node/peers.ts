import { formatAddress } from '../base/address.ts';
import type { PeerConfig } from '../config/types.ts';
import { type DialPeer, PeerSupervisor } from './peer-supervisor.ts';
import type { SessionHost } from './session-host.ts';
import type { PeerStatus } from './status.ts';

/** All configured peers: each is dialled for as long as the node runs. */
export class Peers {
  readonly #host: SessionHost;
  readonly #dial: DialPeer;
  readonly #byKey = new Map<string, PeerSupervisor>();
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
    const peer = new PeerSupervisor(config, this.#host, this.#dial);
    this.#byKey.set(peerKey(config), peer);
    if (this.#running) peer.start();
  }

  /** Another number of lanes for a peer that is known by its addresses and its proxy. */
  change(config: PeerConfig): void {
    this.#byKey.get(peerKey(config))?.setLanes(config.lanes);
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

  get size(): number {
    return this.#byKey.size;
  }

  status(): PeerStatus[] {
    return [...this.#byKey.values()].map((peer) => peer.status());
  }
}

function peerKey({ addresses, via }: PeerConfig): string {
  return `${addresses.map(formatAddress).join(',')} ${via ?? ''}`;
}
