/**
 * The path between the nodes is cut, is gone for a while, and comes back: what becomes of a
 * connection that is busy meanwhile.
 */
import { mkdtempSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultProxy } from '../../test/support/faults/fault-proxy.ts';
import { DOWNLOAD } from '../load/pump.ts';
import { isRouty } from '../tunnels/variants.ts';
import type { Detour, Ports, Tunnel, TunnelKind } from '../tunnels/tunnel.ts';
import { messageOf, type Run } from './run.ts';

/** The middle, the ninety-ninth percentile and the largest of some times, ms; null of none. */
export interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ResumeFigures {
  readonly cuts: number;
  /** Connections that did not outlive a cut. */
  readonly connectionsLost: number;
  /** From the path's return to the first byte, on connections that outlived the cut. */
  readonly firstByteMs: Times | null;
  /** From the path's return to the first byte of a new connection, where the old one was lost. */
  readonly newConnectionMs: Times | null;
  /** Bytes that were sent again on a new lane; null when the tunnel does not tell. */
  readonly bytesReplayed: number | null;
}

/** Fast enough that a cut meets bytes under way, slow enough that the machine is not the limit. */
const PATH_BYTES_PER_SECOND = 25_000_000;
/** Bytes taken by the path and lost with it, at most: those of a few milliseconds. */
const TAIL = { tailBytes: 64 * 1024, tailMs: 20 } as const;
/** How long the path is gone: a little different each time, the same for every peer. */
const GONE_MS_MIN = 100;
const GONE_MS_STEP = 97;
const GONE_MS_SPAN = 400;
/** Between the first byte and the next cut. */
const CALM_MS = 200;
const RETRY_MS = 20;
const BACK_TIMEOUT_MS = 60_000;

/** Whose connections are cut, of the peers that are measured. */
export function resumedPeers(peers: readonly string[]): readonly string[] {
  return peers.filter((peer) => peer === 'ssh' || isRouty(peer));
}

/** One peer after the other, each with a path of its own. */
export async function measureResumes(run: Run): Promise<Map<string, ResumeFigures>> {
  const { kinds, options, progress } = run;
  const figures = new Map<string, ResumeFigures>();
  const chosen = resumedPeers(kinds.map(({ name }) => name));
  for (const kind of kinds.filter(({ name }) => chosen.includes(name))) {
    const beganMs = performance.now();
    const own = mkdtempSync(join(run.dir, `${kind.name}-cut-`));
    try {
      figures.set(kind.name, await measureResume(kind, run.services, own, options.resumeCuts));
    } catch (error) {
      run.problem(`${kind.name}: resume: ${messageOf(error)}`);
    }
    progress.done(`cuts of ${kind.name}`, performance.now() - beganMs);
  }
  return figures;
}

/** Starts the tunnel with a path that can be cut, and cuts it. */
async function measureResume(
  kind: TunnelKind,
  services: Ports,
  dir: string,
  cuts: number,
): Promise<ResumeFigures> {
  const proxies: FaultProxy[] = [];
  const detour: Detour = async (target) => {
    const proxy = await FaultProxy.start({ target });
    proxies.push(proxy);
    return { host: proxy.host, port: proxy.port };
  };
  let tunnel: Tunnel | undefined;
  try {
    tunnel = await kind.start(services, dir, detour);
    const proxy = proxies[0];
    if (proxy === undefined) throw new Error('it does not take the detour');
    proxy.setFaults('both', { bytesPerSecond: PATH_BYTES_PER_SECOND });
    return await cutOften(tunnel, proxy, cuts);
  } finally {
    await tunnel?.stop();
    for (const proxy of proxies) proxy.close();
  }
}

async function cutOften(tunnel: Tunnel, proxy: FaultProxy, cuts: number): Promise<ResumeFigures> {
  const outlived: number[] = [];
  const renewed: number[] = [];
  let download = await flowing(tunnel.ports.bulk);
  try {
    for (let cut = 0; cut < cuts; cut++) {
      const failure = tunnel.failure();
      if (failure !== null) throw new Error(failure);
      await sleep(CALM_MS);
      proxy.refuse();
      await proxy.cut({ how: 'reset', ...TAIL });
      await sleep(GONE_MS_MIN + ((cut * GONE_MS_STEP) % GONE_MS_SPAN));
      const backAtMs = performance.now();
      await proxy.accept();
      const firstByteAtMs = await download.firstByte(BACK_TIMEOUT_MS);
      if (firstByteAtMs === null) {
        download.socket.destroy();
        download = await flowing(tunnel.ports.bulk);
        renewed.push(performance.now() - backAtMs);
      } else {
        outlived.push(firstByteAtMs - backAtMs);
      }
    }
  } finally {
    download.socket.destroy();
  }
  return {
    cuts,
    connectionsLost: renewed.length,
    firstByteMs: timesOf(outlived),
    newConnectionMs: timesOf(renewed),
    bytesReplayed: (await tunnel.bytesReplayed?.()) ?? null,
  };
}

interface Download {
  readonly socket: Socket;
  /** When the next byte arrives; null when the connection is lost. Rejects when neither happens. */
  firstByte(timeoutMs: number): Promise<number | null>;
}

/** A download that has begun, however often that has to be tried. */
async function flowing(port: number): Promise<Download> {
  const endMs = performance.now() + BACK_TIMEOUT_MS;
  while (performance.now() < endMs) {
    const download = begin(port);
    if ((await download.firstByte(BACK_TIMEOUT_MS)) !== null) return download;
    await sleep(RETRY_MS);
  }
  throw new Error(`no connection came through within ${BACK_TIMEOUT_MS / 1000} s`);
}

function begin(port: number): Download {
  let lost = false;
  let told: ((atMs: number | null) => void) | undefined;
  const tell = (atMs: number | null): void => {
    told?.(atMs);
    told = undefined;
  };
  const socket = connect({
    ...{ port, host: '127.0.0.1' },
    onread: {
      buffer: new Uint8Array(256 * 1024),
      callback: () => {
        if (told !== undefined) tell(performance.now());
        return true;
      },
    },
  });
  socket.once('connect', () => socket.write(Uint8Array.of(DOWNLOAD)));
  socket.on('error', () => undefined);
  socket.once('close', () => {
    lost = true;
    tell(null);
  });
  const firstByte = (timeoutMs: number): Promise<number | null> =>
    new Promise((resolve, reject) => {
      if (lost) return resolve(null);
      const timer = setTimeout(() => {
        told = undefined;
        reject(new Error(`neither a byte nor an end within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      told = (atMs) => {
        clearTimeout(timer);
        resolve(atMs);
      };
    });
  return { socket, firstByte };
}

function timesOf(times: readonly number[]): Times | null {
  if (times.length === 0) return null;
  const sorted = times.toSorted((left, right) => left - right);
  const at = (share: number): number => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
    return Math.round(value * 10) / 10;
  };
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
