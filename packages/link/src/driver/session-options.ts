import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Identity, nodeName } from '@routy/proto/base';
import { FairPool, type HandshakeOptions, type SessionOptions } from '@routy/proto/session';

/** How long a peer may take from the lane's first moment to its HELLO, in ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

const SECRET_BYTES = 32;

/** The two budgets of the process, of which every peer has a share. */
export interface ProcessPools {
  readonly send: FairPool;
  readonly receive: FairPool;
}

/** When a session takes its peer for gone. Both ends have the same, as they are among `settings`. */
export interface SessionTimes {
  /** Between two heartbeats, in ms; 10 to 600,000 in `createLink`. */
  readonly heartbeatIntervalMs: number;
  /** A lane that has brought nothing for so many intervals is given up; 1 to 100. */
  readonly heartbeatMisses: number;
  /** In ms from the last byte heard, at most a day; 0 ends a session with its last lane. */
  readonly resumeTimeMs: number;
}

/** How much a session and the process may hold. */
export interface SessionLimits {
  /** Most bytes of window one stream may be granted; 64 KiB to 1 GiB in `createLink`. */
  readonly streamWindow: number;
  /** Most bytes buffered by one session, both ways together; 1 MiB to 1 TiB. */
  readonly sessionBuffer: number;
  /** Most bytes buffered by all sessions of the node, half for each direction; 1 MiB to 1 TiB. */
  readonly processBuffer: number;
  /** Most streams open at once in one session; 1 to 1,000,000. */
  readonly streams: number;
}

/** What every session of this node has in common. */
export interface SessionCommons {
  /** Who this node is. */
  readonly self: Identity;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  /** When a peer is taken for gone. */
  readonly times: SessionTimes;
  /** What HELLO says of the settings that must be equal at both ends, as people write them. */
  readonly settings: Readonly<Record<string, string>>;
  /** Most bytes and streams. */
  readonly limits: SessionLimits;
  /** Optional parts of the session protocol that this node can use; none by default. */
  readonly capabilities?: readonly string[];
  /** For people: `routy/0.1.0`. */
  readonly software: string;
  /** The budgets that the sessions share. */
  readonly pools: ProcessPools;
}

/** What this node says and expects in a HELLO. */
export function handshakeOptions(
  commons: Omit<SessionCommons, 'times' | 'limits' | 'pools'>,
  peer: Identity,
): HandshakeOptions {
  const { self, instance, software, settings, capabilities = [] } = commons;
  return {
    self,
    peer,
    software,
    instance,
    settings,
    capabilities,
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  };
}

/** How a session is made. */
export interface DriverOptions {
  /** What all sessions of this node have in common. */
  readonly commons: SessionCommons;
  /** Which end this side is: the dialler brings lost lanes back. */
  readonly role: 'dialler' | 'acceptor';
  /** Who is at the other end, proven or believed. */
  readonly peer: Identity;
  /** 32 hex digits: random for a dialler, an acceptor takes the dialler's. */
  readonly sessionId: string;
  /** Dialler: id of the session with the same peer that this one stands in for. */
  readonly replaces?: string | undefined;
  /** Whose share of the process's budgets it takes from; the peer's, `site/node`, when left out. */
  readonly holder?: string | undefined;
}

/** `pauseWriters`: stops whoever writes to streams, when memory is short. */
export function sessionOptions(options: DriverOptions, pauseWriters: () => void): SessionOptions {
  const { commons, role, peer, sessionId, replaces } = options;
  const { times, limits, pools } = commons;
  const { holder = nodeName(peer) } = options;
  return {
    ...handshakeOptions(commons, peer),
    role,
    sessionId,
    secret: role === 'acceptor' ? randomBytes(SECRET_BYTES).toString('hex') : '',
    ...(replaces !== undefined && { replaces }),
    ...times,
    streamWindow: limits.streamWindow,
    sessionBuffer: limits.sessionBuffer,
    streams: limits.streams,
    pools: { send: pools.send.of(holder), receive: pools.receive.of(holder) },
    pauseWriters,
  };
}

/** The budgets that all sessions of a process share. */
export function createPools(limits: SessionLimits): ProcessPools {
  return {
    send: new FairPool(limits.processBuffer / 2),
    receive: new FairPool(limits.processBuffer / 2),
  };
}

/** Wall clock minus the clock that sessions run on, in ms. */
export function wallOffsetMs(): number {
  return Date.now() - performance.now();
}
