/** Many nodes in one process: one that listens, or a herd that dials it. */
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TlsCredentials } from '../../packages/link/src/transport/tls/credentials.ts';
import { serveCommands } from './commands.ts';

export type NodesCommand =
  | { readonly kind: 'listen'; readonly file: string; readonly port: number }
  | {
      readonly kind: 'dial';
      /** JSON: credentials of each node. */
      readonly file: string;
      readonly port: number;
      readonly lanes: number;
      /** Each node dials from an address of its own of 127.0.0.0/8. */
      readonly manySources: boolean;
    }
  | { readonly kind: 'await'; readonly sessions: number; readonly lanes: number };

export interface NodesResult {
  readonly pid: number;
  readonly port: number;
  /** Since the process was told to listen; of `await`. */
  readonly afterMs: number;
}

const AWAIT_MS = 120_000;
/** Addresses in a part of 127.0.0.0/8 that nobody listens in. */
const SOURCES = 250;

let running:
  | { status(): import('../../packages/routy/src/status/status.ts').NodeStatus }
  | undefined;
let listeningSince = 0;

serveCommands(run);

async function run(command: NodesCommand): Promise<NodesResult> {
  if (command.kind === 'await') return awaitSessions(command.sessions, command.lanes);
  const all = JSON.parse(readFileSync(command.file, 'utf8')) as TlsCredentials[];
  if (command.kind === 'listen') {
    const text = `[listen]\naddress = "127.0.0.1:${command.port}"\n`;
    running = await startOne(all[0]!, text);
    listeningSince = performance.now();
    const { address } = running.status().listening!;
    return result({ port: Number(address.split(':').at(-1)) });
  }
  if (command.manySources) dialFromMany(all.length);
  const peer = `[[peer]]\naddress = "127.0.0.1:${command.port}"\nlanes = ${command.lanes}\n`;
  for (const credentials of all) await startOne(credentials, peer);
  return result({ port: command.port });
}

async function startOne(credentials: TlsCredentials, text: string) {
  // Only now: the addresses to dial from are set before anything has taken hold of node:net.
  const { startNode } = await import('../../packages/routy/src/node/node.ts');
  const { parseConfig } = await import('../../packages/routy/src/config/load.ts');
  const { createLog } = await import('../../packages/routy/src/observe/log.ts');
  const { createMetrics } = await import('../../packages/routy/src/observe/metrics.ts');
  const { site, node } = credentials.identity;
  const head = `[node]\nname = "${node}"\nsite = "${site}"\nstate = "/nonexistent"\n`;
  const config = parseConfig(`${head}drain_timeout = "1s"\n${text}`);
  const log = createLog({ level: 'error', format: 'json', stream: { write: () => true } });
  const parts = { config, credentials, log, metrics: createMetrics(), version: '0.0.0' };
  return startNode({ ...parts, loadConfig: async () => config });
}

/** Each connection from the next of `count` addresses. */
function dialFromMany(count: number): void {
  const connect = net.connect as (options: object) => net.Socket;
  let next = 0;
  const fromNext = (options: object) => {
    const index = next++ % count;
    const localAddress = `127.9.${Math.floor(index / SOURCES)}.${(index % SOURCES) + 1}`;
    return connect({ ...options, localAddress });
  };
  Object.assign(net, { connect: fromNext });
  syncBuiltinESMExports();
}

async function awaitSessions(sessions: number, lanes: number): Promise<NodesResult> {
  const deadline = performance.now() + AWAIT_MS;
  for (;;) {
    const live = running!.status().peers.filter(({ state }) => state === 'up');
    const carried = live.reduce((sum, { session }) => sum + (session?.lanes.length ?? 0), 0);
    if (live.length >= sessions && carried >= lanes) break;
    if (performance.now() > deadline) {
      throw new Error(`${live.length} of ${sessions} nodes with ${carried} lanes are back`);
    }
    // The status of many costs something itself.
    await sleep(Math.max(20, sessions / 4));
  }
  return result({ afterMs: Math.round(performance.now() - listeningSince) });
}

function result(part: Partial<NodesResult>): NodesResult {
  return { pid: process.pid, port: 0, afterMs: 0, ...part };
}
