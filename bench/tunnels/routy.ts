import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NodeStatus } from '../../packages/routy/src/status/status.ts';
import { freePort, runToEnd, start } from '../processes.ts';
import type { Variant } from './variants.ts';
import {
  type Detour,
  type Ports,
  type Tunnel,
  type TunnelKind,
  whenListening,
  whenReady,
} from './tunnel.ts';

const CLI = fileURLToPath(new URL('../../packages/routy/dist/cli/main.js', import.meta.url));

/** The build of this working tree. */
export function routyOn(variant: Variant): TunnelKind {
  return routyKind({ ...variant, cli: CLI });
}

/** Another build of Routy, to measure a change against: `ROUTY_BEFORE` is its built `cli/main.js`. */
export function before(first: Variant): TunnelKind {
  return routyKind({ ...first, name: 'before', cli: process.env.ROUTY_BEFORE ?? '' });
}

/**
 * Two Routy nodes, enrolled by the commands a user types: gray listens and holds the CA, red joins
 * and dials, as `ssh -R` would, and offers the services.
 */
function routyKind(build: Build): TunnelKind {
  const plane = build.plane === undefined ? '' : `, ${build.plane} plane`;
  return {
    name: build.name,
    note: `two nodes, TLS 1.3 both ways authenticated, Node ${build.version}${plane}`,
    missing: () => missing(build),
    start: (services, dir, detour) => startRouty(build, services, dir, detour),
  };
}

function missing({ name, cli }: Build): string | null {
  if (cli === '') return 'ROUTY_BEFORE does not name a built cli/main.js';
  if (existsSync(cli)) return null;
  return name === 'before' ? `${cli} not found` : `${cli} not found; run: npm run build`;
}

interface Build extends Variant {
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

  choosePlane(build, join(dir, 'gray', 'routy.toml'));
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
  choosePlane(build, join(dir, 'red', 'routy.toml'));
  const red = startNode(build, 'red', place('red'));
  const pids = () => ({ red: [red.pid], gray: [gray.pid] });
  const tunnel = await whenReady(build.name, ports, pids, [red, gray]);
  try {
    for (const site of ['red', 'gray']) await expectPlane(build, place(site));
  } catch (error) {
    await tunnel.stop();
    throw error;
  }
  const bytesReplayed = async (): Promise<number | null> => {
    const sent = await Promise.all(['red', 'gray'].map((site) => replayedBy(build, place(site))));
    return sent.includes(null) ? null : (sent as number[]).reduce((sum, bytes) => sum + bytes, 0);
  };
  return { ...tunnel, bytesReplayed };
}

async function replayedBy(build: Build, place: readonly string[]): Promise<number | null> {
  const { peers } = await statusOf(build, place);
  const figures = peers.map(({ session }) => {
    return (session as { bytesReplayed?: number } | null)?.bytesReplayed;
  });
  if (figures.length === 0 || figures.includes(undefined)) return null;
  return (figures as number[]).reduce((sum, bytes) => sum + bytes, 0);
}

async function statusOf(build: Build, place: readonly string[]): Promise<NodeStatus> {
  return JSON.parse(await runCli(build, ['status', '--json', ...place])) as NodeStatus;
}

/** A node that cannot have the plane it is told comes up all the same, on another. */
async function expectPlane(build: Build, place: readonly string[]): Promise<void> {
  if (build.plane === undefined) return;
  const { inUse, reason } = (await statusOf(build, place)).dataPlane;
  if (inUse !== build.plane) throw new Error(`no ${build.plane} plane: ${reason}`);
}

/** No command sets it: it goes into the file that `init` or `join` has written. */
function choosePlane({ plane }: Build, file: string): void {
  if (plane === undefined) return;
  const text = readFileSync(file, 'utf8');
  const chosen = text.replace(/^\[node\]$/m, `[node]\ndata_plane = "${plane}"`);
  if (chosen === text) throw new Error(`${file} has no [node]`);
  writeFileSync(file, chosen);
}

function runCli({ node, cli }: Build, args: readonly string[]): Promise<string> {
  return runToEnd(`routy ${args[0]}`, node, [cli, ...args]);
}

function startNode({ name, node, cli }: Build, site: string, place: readonly string[]) {
  return start(`${name} up (${site})`, node, [cli, 'up', ...place]);
}
