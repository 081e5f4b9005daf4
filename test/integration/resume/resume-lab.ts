import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { parseAddress } from '../../../packages/proto/src/base/address.ts';
import { FaultProxy } from '../../support/faults/fault-proxy.ts';
import {
  acceptedExchanges,
  closeExchanges,
  exchangeEnd,
  exchangeProgress,
  serveExchange,
  startExchange,
} from '../../support/tcp-tools/exchange.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../support/nodes/node-lab.ts';
import { until } from '../../support/sockets/loopback.ts';

export interface ResumeLabOptions {
  /** Bytes the target sends to each client. */
  readonly sendBytes: number;
  /** `[fabric]` of both nodes, over heartbeats of 100 ms of which three may be missing. */
  readonly fabric?: Readonly<Record<string, string>>;
}

/** Red dials gray through a fault proxy; clients of gray's forward come out at a target of red. */
export interface ResumeLab {
  readonly red: LabNode;
  readonly gray: LabNode;
  readonly proxy: FaultProxy;
  readonly forward: TcpAddress;
  readonly targetPort: number;
  /** Both nodes' configuration, to change and reload it. */
  readonly toml: { readonly red: string; readonly gray: string };
}

export async function startResumeLab(
  t: TestContext,
  options: ResumeLabOptions,
): Promise<ResumeLab> {
  const targetPort = await serveExchange({ sendBytes: options.sendBytes });
  t.after(() => closeExchanges({ port: targetPort }));
  const fabric = fabricText(options.fabric ?? {});
  const grayToml = `${LISTEN}${forward('127.0.0.1:0', 'red/exchange')}${fabric}`;
  const gray = await LabNode.start(await credentials('gray'), grayToml, '100ms');
  t.after(() => gray.stop());
  const { host, port } = parseAddress(gray.lanes) as TcpAddress;
  const proxy = await FaultProxy.start({ target: { host, port } });
  t.after(() => proxy.close());
  const offer = service('exchange', `127.0.0.1:${targetPort}`, 'gray');
  const redToml = `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\n${offer}${fabric}`;
  const red = await LabNode.start(await credentials('red'), redToml, '100ms');
  t.after(() => red.stop());
  const reached = (await gray.reach('red/exchange')) as TcpAddress;
  return {
    ...{ red, gray, proxy, targetPort },
    forward: reached,
    toml: { red: redToml, gray: grayToml },
  };
}

function fabricText(changes: Readonly<Record<string, string>>): string {
  const keys = { heartbeat_interval: '"100ms"', heartbeat_misses: '3', ...changes };
  return `[fabric]\n${Object.entries(keys)
    .map(([key, value]) => `${key} = ${value}\n`)
    .join('')}`;
}

/** Both ends of one stream, by their handles. */
export interface Ends {
  readonly client: number;
  readonly server: number;
}

export async function startStream(
  lab: ResumeLab,
  plan: { sendBytes: number; bytesPerSecond?: number },
): Promise<Ends> {
  const port = lab.targetPort;
  const before = acceptedExchanges({ port }).length;
  const { host, port: forwardPort } = lab.forward;
  const client = await startExchange({ host, port: forwardPort, ...plan });
  await until('the target has it', () => acceptedExchanges({ port }).length > before);
  return { client, server: acceptedExchanges({ port })[before]! };
}

/** Waits until bytes have come out at both ends. */
export async function untilBoth(ends: Ends, bytes: number): Promise<void> {
  for (const handle of [ends.client, ends.server]) {
    await until(`${bytes} bytes have come`, () => {
      const { received, outcome } = exchangeProgress({ handle });
      if (outcome !== null && outcome !== 'end') throw new Error(`the stream ended: ${outcome}`);
      return received >= bytes;
    });
  }
}

export async function assertWhole(ends: Ends, bytes: { up: number; down: number }): Promise<void> {
  const [client, server] = await Promise.all([
    exchangeEnd({ handle: ends.client }),
    exchangeEnd({ handle: ends.server }),
  ]);
  const facts = ({ received, intact, outcome }: typeof client) => ({ received, intact, outcome });
  assert.deepEqual(facts(client), { received: bytes.down, intact: true, outcome: 'end' });
  assert.deepEqual(facts(server), { received: bytes.up, intact: true, outcome: 'end' });
}

/** A stream that was lost: reset on both ends, with nothing but the right bytes before. */
export async function assertReset(ends: Ends): Promise<void> {
  for (const handle of [ends.client, ends.server]) {
    const { outcome, intact } = await exchangeEnd({ handle });
    assert.deepEqual({ outcome, intact }, { outcome: 'ECONNRESET', intact: true });
  }
}

/** The session's id at each node; fails unless each has one. */
export function sessionIds(lab: ResumeLab): string[] {
  return [lab.red, lab.gray].map((node) => {
    const sessions = node.running.status().peers.filter(({ session }) => session !== null);
    assert.equal(sessions.length, 1, `${node.name} has ${sessions.length} sessions`);
    return sessions[0]!.session!.id;
  });
}
