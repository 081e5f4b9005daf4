import { performance } from 'node:perf_hooks';
import type { Identity } from '../base/identity.ts';
import type { FabricSettings, LimitsConfig } from '../config/types.ts';
import { sharedSettings } from '../fabric/settings.ts';
import { FairPool } from '../session/fair-pool.ts';
import type { GreetingOptions } from '../session/options.ts';

/** How long a peer may take from the lane's first moment to its HELLO, in ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

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
