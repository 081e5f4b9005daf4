import { randomBytes } from 'node:crypto';
import { formatAddress } from '../base/address.ts';
import { RoutyError } from '../base/errors.ts';
import type { PeerConfig } from '../config/types.ts';
import { backoffCapMs, classifyFailure, nextDelayMs } from '../fabric/backoff.ts';
import { DialScheduler, type DialState, type DialStatus } from '../transport/dial-scheduler.ts';
import type { Lane } from '../transport/lane.ts';
import type { Admission, SessionDriverApi, SessionEnd } from './driver-types.ts';
import { endText, laneHint } from './events.ts';
import type { SessionHost, SessionOwner } from './session-host.ts';
import type { LiveSession } from './sessions.ts';
import type { PeerStatus } from './status.ts';

/** Dials one address of a peer; `dialLane` with this node's credentials. */
export type DialPeer = (
  address: PeerConfig['addresses'][number],
  via: string | undefined,
  signal: AbortSignal,
) => Promise<Lane>;

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

  /** Dials nobody any more; sessions go on. */
  stopDialling(): void {
    this.#running = false;
    for (const peer of this.#byKey.values()) peer.stopDialling();
  }

  add(config: PeerConfig): void {
    const peer = new PeerSupervisor(config, this.#host, this.#dial);
    this.#byKey.set(peerKey(config), peer);
    if (this.#running) peer.start();
  }

  /** Forgets the peer, ends its session and says how many streams that reset. */
  remove(config: PeerConfig): number {
    const peer = this.#byKey.get(peerKey(config));
    this.#byKey.delete(peerKey(config));
    peer?.stopDialling();
    return peer?.close('normal', 'the peer was removed from the configuration') ?? 0;
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

/** One configured peer: its dial schedule and the session of the lane it got. */
class PeerSupervisor implements SessionOwner {
  readonly #addresses: readonly string[];
  readonly #host: SessionHost;
  readonly #scheduler: DialScheduler;
  /** One session for the life of this process, with a new epoch for every lane. */
  readonly #sessionId = randomBytes(16).toString('hex');
  #epoch = 0;
  #driver: SessionDriverApi | undefined;
  #session: LiveSession | undefined;
  /** Of the last session. */
  #name: string | null = null;
  /** What the status shows: redialling after a failure does not hide the failure. */
  #shown: DialState = 'down';
  #shownSinceMs = Date.now();

  constructor(config: PeerConfig, host: SessionHost, dial: DialPeer) {
    this.#addresses = config.addresses.map(formatAddress);
    this.#host = host;
    this.#scheduler = new DialScheduler({
      addresses: config.addresses,
      dial: (address, signal) => dial(address, config.via, signal),
      nextDelayMs: (attempt, error) =>
        nextDelayMs({ attempt, random01: Math.random(), capMs: backoffCapMs(error?.code) }),
      isRefusal: (error) => classifyFailure(error.code) === 'refusal',
      onLane: (lane) => this.#onLane(lane),
      onState: (status) => this.#onState(status),
    });
  }

  start(): void {
    this.#scheduler.start();
  }

  stopDialling(): void {
    this.#scheduler.stop();
  }

  close(code: 'normal' | 'shutdown', reason: string): number {
    const streams = this.#session?.driver.stats().streams ?? 0;
    this.#driver?.close(code, reason);
    return streams;
  }

  admit(): Admission {
    // Only the accepting side is asked; whoever this node dials by its configuration is wanted.
    return { ok: true };
  }

  onUp(session: LiveSession): void {
    this.#session = session;
    this.#name = session.name;
    this.#scheduler.established();
  }

  onDown(end: SessionEnd, session: LiveSession | undefined): void {
    this.#driver = undefined;
    this.#session = undefined;
    this.#scheduler.laneClosed(endError(end, session !== undefined));
    if (this.#scheduler.status.state === 'down') this.#show('down', this.#host.nowMs());
  }

  status(): PeerStatus {
    const { attempts, lastError, nextAttemptAt, address } = this.#scheduler.status;
    const session = this.#session;
    const waiting = `dialling ${formatAddress(address)}`;
    return {
      name: this.#name,
      direction: 'dialled',
      addresses: this.#addresses,
      state: this.#shown,
      since: new Date(this.#shownSinceMs).toISOString(),
      reason: session === undefined ? (lastError?.message ?? waiting) : null,
      hint: lastError?.hint ?? null,
      attempts,
      nextAttemptInMs:
        nextAttemptAt === undefined ? null : Math.max(0, Math.round(nextAttemptAt - Date.now())),
      session: session === undefined ? null : this.#host.live.status(session),
    };
  }

  #onLane(lane: Lane): void {
    this.#epoch += 1;
    const id = { sessionId: this.#sessionId, epoch: this.#epoch };
    this.#driver = this.#host.dialled(lane, id, this);
  }

  #onState(status: DialStatus): void {
    const { state } = status;
    const redials =
      state === 'dialling' && (this.#shown === 'backoff' || this.#shown === 'refused');
    // A stopping node dials no more while its sessions drain.
    const stillUp = state === 'down' && this.#session !== undefined;
    if (state !== this.#shown && !redials && !stillUp) this.#show(state, status.since);
    this.#tellFailure(status);
  }

  #show(state: DialState, sinceMs: number): void {
    this.#shown = state;
    this.#shownSinceMs = sinceMs;
  }

  /** The end of an established session was told by the session; this is about failed attempts. */
  #tellFailure({ state, attempts, lastError, nextAttemptAt }: DialStatus): void {
    if (state !== 'backoff' && state !== 'refused') return;
    if (attempts === 0 || lastError === undefined) return;
    this.#host.events.dialFailed({
      peer: this.#name,
      addresses: this.#addresses.join(', '),
      code: lastError.code,
      reason: lastError.message,
      hint: lastError.hint ?? null,
      attempts,
      delayMs: Math.max(0, Math.round((nextAttemptAt ?? 0) - Date.now())),
    });
  }
}

function endError(end: SessionEnd, wasUp: boolean): RoutyError {
  // In TLS 1.3 the dialler's handshake is over before its certificate was judged: a refused
  // certificate shows as a lane that the peer ends before the first frame.
  if (!wasUp && end.code === 'lane-lost') {
    return (
      end.laneError ??
      new RoutyError('lane-refused', endText(end), {
        hint: 'If this repeats, the peer refuses the certificate of this node: its log says why.',
      })
    );
  }
  const hint = laneHint(end.code);
  return new RoutyError(end.code, endText(end), hint === undefined ? {} : { hint });
}
