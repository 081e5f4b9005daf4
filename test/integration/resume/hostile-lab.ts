import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import {
  acceptedExchanges,
  closeExchanges,
  exchangeProgress,
  finishExchange,
  serveExchange,
  startExchange,
} from '../../support/tcp-tools/exchange.ts';
import { CrookedLanes } from './crooked-lanes.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../support/nodes/node-lab.ts';
import { until } from '../../support/sockets/loopback.ts';
import { assertWhole, type Ends } from './resume-lab.ts';

const PLAN = { sendBytes: Number.MAX_SAFE_INTEGER, bytesPerSecond: 1_000_000 };

export const FABRIC = '[fabric]\nheartbeat_interval = "100ms"\nheartbeat_misses = 5\n';

/** Red dials gray; what it says on its lanes is known to an attacker and can be changed. */
export interface HostileLab {
  readonly red: LabNode;
  readonly gray: LabNode;
  /** Red's own key and certificate. */
  readonly papers: TlsCredentials;
  readonly lanes: CrookedLanes;
  /** Streams of clients of gray to a target of red, in the order they were opened; all busy. */
  readonly streams: readonly Ends[];
}

export async function startHostileLab(
  t: TestContext,
  plan: { lanes: number; streams: number },
): Promise<HostileLab> {
  const port = await serveExchange(PLAN);
  t.after(() => closeExchanges({ port }));
  const papers = await credentials('red');
  const toRed = forward('127.0.0.1:0', 'red/exchange');
  const gray = await LabNode.start(
    await credentials('gray'),
    `${LISTEN}${toRed}${FABRIC}`,
    '100ms',
  );
  t.after(() => gray.stop());
  const lanes = new CrookedLanes();
  const exchange = service('exchange', `127.0.0.1:${port}`, 'gray');
  const toml = `${peerTo(gray)}lanes = ${plan.lanes}\n${exchange}${FABRIC}`;
  const red = await LabNode.start(papers, toml, '100ms', lanes.sessions);
  t.after(() => red.stop());
  const { host, port: forwardPort } = (await gray.reach('red/exchange')) as TcpAddress;
  await until('all lanes are up', () => lanesUp(gray) === plan.lanes);
  const streams: Ends[] = [];
  for (let count = 0; count < plan.streams; count += 1) {
    const client = await startExchange({ ...PLAN, host, port: forwardPort });
    await until('the target has it', () => acceptedExchanges({ port }).length > count);
    const ends = { client, server: acceptedExchanges({ port })[count]! };
    await untilMore(ends, 100_000);
    streams.push(ends);
  }
  return { red, gray, papers, lanes, streams };
}

/** Waits until more bytes have come at both ends. */
export async function untilMore(ends: Ends, bytes: number): Promise<void> {
  const at = [ends.client, ends.server].map((handle) => ({
    handle,
    goal: exchangeProgress({ handle }).received + bytes,
  }));
  for (const { handle, goal } of at) {
    await until('more bytes come', () => {
      const { received, outcome } = exchangeProgress({ handle });
      if (outcome !== null) throw new Error(`the stream ended: ${outcome}`);
      return received >= goal;
    });
  }
}

/** The stream goes on as if nothing had happened, and ends when it is told to. */
export async function assertUnharmed(ends: Ends): Promise<void> {
  await untilMore(ends, 200_000);
  for (const handle of [ends.client, ends.server]) finishExchange({ handle });
  const [up, down] = [ends.client, ends.server].map((handle) => exchangeProgress({ handle }).sent);
  await assertWhole(ends, { up: up!, down: down! });
}

export function sessionOf(gray: LabNode): string {
  const id = gray.peer('red/red1')?.session?.id;
  assert.ok(id !== undefined, 'gray has no session with red');
  return id;
}

export function lanesUp(gray: LabNode): number {
  return gray.peer('red/red1')?.session?.lanes.length ?? 0;
}

/** What a counter of the node shows, as in `routy_refusals_total{reason="stale-epoch"}`. */
export async function counted(node: LabNode, counter: string): Promise<number> {
  const line = (await node.metrics.text()).split('\n').find((each) => each.startsWith(counter));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ')));
}
