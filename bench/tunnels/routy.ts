import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeStatus } from '../../packages/routy/src/status/status.ts';
import { freePort, runToEnd, start } from '../processes.ts';
import type { Runtime } from './runtimes.ts';
import {
  type Detour,
  type Ports,
  type Tunnel,
  type TunnelKind,
  whenListening,
  whenReady,
} from './tunnel.ts';

const CLI = fileURLToPath(new URL('../../packages/routy/dist/cli/main.js', import.meta.url));

/** The build of this working tree, on one of the Nodes. */
export function routyOn(runtime: Runtime): TunnelKind {
  return routyKind({ name: runtime.name, node: runtime.path, cli: CLI }, runtime);
}

/** Another build of Routy, to measure a change against: `ROUTY_BEFORE` is its built `cli/main.js`. */
export function before(runtime: Runtime): TunnelKind {
  const cli = process.env.ROUTY_BEFORE ?? '';
  return routyKind({ name: 'before', node: runtime.path, cli }, runtime);
}

/**
 * Two Routy nodes, enrolled by the commands a user types: gray listens and holds the CA, red joins
 * and dials, as `ssh -R` would, and offers the services.
 */
function routyKind(build: Build, { version }: Runtime): TunnelKind {
  return {
    name: build.name,
    note: `two nodes, TLS 1.3 both ways authenticated, Node ${version}`,
    missing: () => missing(build),
    start: (services, dir, detour) => startRouty(build, services, dir, detour),
  };
}

function missing({ name, cli }: Build): string | null {
  if (cli === '') return 'ROUTY_BEFORE does not name a built cli/main.js';
  if (existsSync(cli)) return null;
  return name === 'before' ? `${cli} not found` : `${cli} not found; run: npm run build`;
}

interface Build {
  readonly name: string;
  /** The Node that runs it. */
  readonly node: string;
  /** Its built `cli/main.js`. */
  readonly cli: string;
}

async function startRouty(
  build: Build,
  services: Ports,
  dir: string,
  detour?: Detour,
): Promise<Tunnel> {
  const address = { host: '127.0.0.1', port: await freePort() };
  const listen = `${address.host}:${address.port}`;
  const dialled = (await detour?.(address)) ?? address;
  const ports: Ports = { bulk: await freePort(), echo: await freePort() };
  const place = (site: string) => ['--config', join(dir, site, 'routy.toml')];
  const state = (site: string) => ['--state', join(dir, site, 'state')];
  for (const site of ['gray', 'red']) mkdirSync(join(dir, site));

  const invitation = await runCli(build, [
    ...['init', '--site', 'gray', '--node', 'gray1', ...place('gray'), ...state('gray')],
    ...['--listen', listen, '--advertise', `${dialled.host}:${dialled.port}`, '--invite', 'red'],
    ...['--forward', `127.0.0.1:${ports.bulk}=red/bulk`],
    ...['--forward', `127.0.0.1:${ports.echo}=red/echo`],
  ]);
  const line = /routy-join-1:[^\s'"]+/.exec(invitation)?.[0];
  if (line === undefined) throw new Error(`routy init printed no join line:\n${invitation}`);

  const gray = startNode(build, 'gray', place('gray'));
  try {
    await whenListening(listen, gray);
    await runCli(build, [
      ...['join', line, '--node', 'red1', ...place('red'), ...state('red')],
      ...['--service', `bulk=127.0.0.1:${services.bulk}`],
      ...['--service', `echo=127.0.0.1:${services.echo}`],
      ...['--allow', 'gray'],
    ]);
  } catch (error) {
    await gray.stop();
    throw error;
  }
  const red = startNode(build, 'red', place('red'));
  const pids = () => ({ red: [red.pid], gray: [gray.pid] });
  const tunnel = await whenReady(build.name, ports, pids, [red, gray]);
  const bytesReplayed = async (): Promise<number | null> => {
    const sent = await Promise.all(['red', 'gray'].map((site) => replayedBy(build, place(site))));
    return sent.includes(null) ? null : (sent as number[]).reduce((sum, bytes) => sum + bytes, 0);
  };
  return { ...tunnel, bytesReplayed };
}

async function replayedBy(build: Build, place: readonly string[]): Promise<number | null> {
  const text = await runCli(build, ['status', '--json', ...place]);
  const status = JSON.parse(text) as NodeStatus;
  const figures = status.peers.map(({ session }) => {
    return (session as { bytesReplayed?: number } | null)?.bytesReplayed;
  });
  if (figures.length === 0 || figures.includes(undefined)) return null;
  return (figures as number[]).reduce((sum, bytes) => sum + bytes, 0);
}

function runCli({ node, cli }: Build, args: readonly string[]): Promise<string> {
  return runToEnd(`routy ${args[0]}`, node, [cli, ...args]);
}

function startNode({ name, node, cli }: Build, site: string, place: readonly string[]) {
  return start(`${name} up (${site})`, node, [cli, 'up', ...place]);
}
