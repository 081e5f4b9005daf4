import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Identity } from '../base/identity.ts';
import type { FabricSettings, LimitsConfig } from '../config/types.ts';
import { sharedSettings } from '../fabric/settings.ts';
import { FairPool } from '../session/fair-pool.ts';
import type { GreetingOptions, SessionOptions } from '../session/options.ts';

/** How long a peer may take from the lane's first moment to its HELLO, in ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

const SECRET_BYTES = 32;

/** The two budgets of the process, of which every peer has a share. */
export interface ProcessPools {
  readonly send: FairPool;
  readonly receive: FairPool;
}

/** What every session of this node has in common. */
export interface SessionCommons {
  readonly self: Identity;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  readonly fabric: FabricSettings;
  readonly limits: LimitsConfig;
  /** For people: `routy/0.1.0`. */
  readonly software: string;
  readonly pools: ProcessPools;
}

/** What this node says and expects in a HELLO. */
export function greetingOptions(commons: SessionCommons, peer: Identity): GreetingOptions {
  const { self, instance, software, fabric } = commons;
  return {
    self,
    peer,
    software,
    instance,
    settings: sharedSettings(fabric),
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  };
}

/** How a session is made. */
export interface DriverOptions {
  readonly commons: SessionCommons;
  readonly role: 'dialler' | 'acceptor';
  readonly peer: Identity;
  /** 32 hex digits: random for a dialler, an acceptor takes the dialler's. */
  readonly sessionId: string;
  /** Dialler: id of the session with the same peer that this one stands in for. */
  readonly replaces?: string | undefined;
}

/** `pauseWriters`: stops whoever writes to streams, when memory is short. */
export function sessionOptions(options: DriverOptions, pauseWriters: () => void): SessionOptions {
  const { commons, role, peer, sessionId, replaces } = options;
  const { fabric, limits, pools } = commons;
  const name = `${peer.site}/${peer.node}`;
  return {
    ...greetingOptions(commons, peer),
    role,
    sessionId,
    secret: role === 'acceptor' ? randomBytes(SECRET_BYTES).toString('hex') : '',
    ...(replaces !== undefined && { replaces }),
    heartbeatIntervalMs: fabric.heartbeatIntervalMs,
    heartbeatMisses: fabric.heartbeatMisses,
    resumeTimeMs: fabric.resumeTimeMs,
    streamWindow: limits.streamWindow,
    sessionBuffer: limits.sessionBuffer,
    streams: limits.streams,
    pools: { send: pools.send.of(name), receive: pools.receive.of(name) },
    pauseWriters,
  };
}

/** The budgets that all sessions of a process share. */
export function createPools(limits: LimitsConfig): ProcessPools {
  return {
    send: new FairPool(limits.processBuffer / 2),
    receive: new FairPool(limits.processBuffer / 2),
  };
}

/** Wall clock minus the clock that sessions run on, in ms. */
export function wallOffsetMs(): number {
  return Date.now() - performance.now();
}
