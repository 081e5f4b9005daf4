import {
  type Home,
  joinLineIn,
  makeHome,
  RoutyNode,
  routyOk,
  setToml,
} from '../support/nodes/routy.ts';
import type { World } from './world.ts';

/** What one node offers and reaches. */
export interface Side {
  /** Target by service name; the other site may open all of them. */
  readonly services?: Readonly<Record<string, string>>;
  /** `SITE/SERVICE` by local address. */
  readonly forwards?: Readonly<Record<string, string>>;
}

/** Keys by table; values as they stand in the file, strings with their quotes. */
type Tables = Readonly<Record<string, Record<string, string>>>;

export interface PairOptions {
  readonly red: Side;
  readonly gray: Side;
  /** Tables for both configuration files. */
  readonly settings?: Tables;
  /** Tables for one file only, over the ones for both. */
  readonly redSettings?: Tables;
  readonly graySettings?: Tables;
}

/** A fabric of two nodes, enrolled and not yet started: gray listens, red dials. */
export interface Pair {
  readonly red: Home;
  readonly gray: Home;
}

export const ROUTY_PORT = 7443;

/** Enrols gray, which has the CA and listens, and red, which joins from inside. */
export async function enrolPair(world: World, options: PairOptions): Promise<Pair> {
  const { network, directory } = world;
  const gray = makeHome(network.gray, directory, 'routy-gray');
  const red = makeHome(network.red, directory, 'routy-red');
  const invitation = await routyOk(gray, [
    ...['init', '--site', 'gray', '--node', 'gray1', '--listen', `0.0.0.0:${ROUTY_PORT}`],
    ...['--advertise', `${network.gray.ipv4}:${ROUTY_PORT}`, '--invite', 'red'],
    ...sideArgs(options.gray, 'red'),
  ]);
  setToml(gray, { ...options.settings, ...options.graySettings });
  const grayNode = new RoutyNode(gray);
  try {
    await grayNode.untilStatus('listening', (status) => status.listening?.error === null);
    await routyOk(red, [
      ...['join', joinLineIn(invitation), '--node', 'red1', ...sideArgs(options.red, 'gray')],
    ]);
  } finally {
    await grayNode.stop();
  }
  setToml(red, { ...options.settings, ...options.redSettings });
  return { red, gray };
}

function sideArgs(side: Side, other: string): string[] {
  const services = Object.entries(side.services ?? {}).flatMap(([name, target]) => [
    ...['--service', `${name}=${target}`],
  ]);
  const forwards = Object.entries(side.forwards ?? {}).flatMap(([listen, to]) => [
    ...['--forward', `${listen}=${to}`],
  ]);
  return [...services, ...(services.length > 0 ? ['--allow', other] : []), ...forwards];
}

/** A pair whose nodes can be stopped and started again; stopped when the test ends. */
export class RunningPair {
  readonly homes: Pair;
  red: RoutyNode;
  gray: RoutyNode;

  constructor(homes: Pair) {
    this.homes = homes;
    this.gray = new RoutyNode(homes.gray);
    this.red = new RoutyNode(homes.red);
  }

  async untilReady(deadlineMs?: number): Promise<void> {
    await Promise.all([this.red.untilReady(deadlineMs), this.gray.untilReady(deadlineMs)]);
  }

  /** Ends one node, in order or without warning, and starts it again. */
  async restart(side: 'red' | 'gray', how: 'stop' | 'kill'): Promise<void> {
    await this[side][how]();
    this[side] = new RoutyNode(this.homes[side]);
    await this.untilReady();
  }

  async stop(): Promise<void> {
    await Promise.all([this.red.kill(), this.gray.kill()]);
  }
}

/** Enrols and starts a pair; ready to carry connections when it returns. */
export async function startPair(world: World, options: PairOptions): Promise<RunningPair> {
  const pair = new RunningPair(await enrolPair(world, options));
  world.defer(() => pair.stop());
  await pair.untilReady();
  return pair;
}
