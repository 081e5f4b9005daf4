import type { SessionFactory } from '../../../packages/link/src/peers/process-sessions.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/tls/credentials.ts';
import { loadNativePlane } from '../../../packages/linux/src/sockets/native-plane.ts';
import { type Address, parseAddress } from '../../../packages/proto/src/base/address.ts';
import { parseConfig } from '../../../packages/routy/src/config/load.ts';
import { type RunningNode, startNode } from '../../../packages/routy/src/node/node.ts';
import { createLog, type Log } from '../../../packages/routy/src/observe/log.ts';
import { createMetrics, type Metrics } from '../../../packages/routy/src/observe/metrics.ts';
import type { ForwardStatus, PeerStatus } from '../../../packages/routy/src/status/status.ts';
import { type TestCa, testCa, testCredentials } from '../certificates.ts';
import { until } from '../sockets/loopback.ts';
import { planeOf } from './data-planes.ts';

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly msg: string;
  readonly [name: string]: unknown;
}

/** A node in this process, with its log kept for the test to read. */
export class LabNode {
  readonly name: string;
  readonly lines: readonly LogLine[];
  readonly running: RunningNode;
  readonly metrics: Metrics;
  readonly #log: Log;
  readonly #toml: { text: string };

  private constructor(parts: {
    name: string;
    running: RunningNode;
    metrics: Metrics;
    log: Log;
    lines: readonly LogLine[];
    toml: { text: string };
  }) {
    this.name = parts.name;
    this.running = parts.running;
    this.metrics = parts.metrics;
    this.lines = parts.lines;
    this.#log = parts.log;
    this.#toml = parts.toml;
  }

  /** `sessions` in place of the node's own, to look at them or to tamper with them. */
  static async start(
    credentials: TlsCredentials,
    text: string,
    drain = '3s',
    sessions?: SessionFactory,
    dataPlane = planeOf(credentials.identity.site),
  ): Promise<LabNode> {
    const { site, node } = credentials.identity;
    const lines: LogLine[] = [];
    const log = createLog({
      level: 'info',
      format: 'json',
      stream: { write: (line: string) => lines.push(JSON.parse(line)) },
    });
    const toml = { text };
    const head = `[node]\nname = "${node}"\nsite = "${site}"\nstate = "/nonexistent"\ndata_plane = "${dataPlane}"\n`;
    const metrics = createMetrics();
    const load = () => parseConfig(`${head}drain_timeout = "${drain}"\n${toml.text}`);
    const running = await startNode({
      config: load(),
      credentials,
      version: '0.0.0',
      log,
      metrics,
      loadConfig: async () => load(),
      // Who keeps a view of what was read reads nonsense.
      loadPlane: () => loadNativePlane({ poisonsReads: true }),
      ...(sessions && { sessions }),
    });
    return new LabNode({ name: `${site}/${node}`, running, metrics, log, lines, toml });
  }

  /** Where other nodes dial this one. */
  get lanes(): string {
    return this.running.status().listening!.address;
  }

  /** Its configuration without [node]. */
  get toml(): string {
    return this.#toml.text;
  }

  forward(to: string): ForwardStatus {
    return this.running.status().forwards.find((forward) => forward.to === to)!;
  }

  /** Waits until the forward listens and gives its address. */
  async reach(to: string): Promise<Address> {
    await until(`${to} is reachable`, () => this.forward(to)?.state === 'listening');
    return parseAddress(this.forward(to).listen)!;
  }

  peer(name?: string): PeerStatus | undefined {
    return this.running.status().peers.find((peer) => name === undefined || peer.name === name);
  }

  reload(text: string) {
    this.#toml.text = text;
    return this.running.reload();
  }

  events(): string[] {
    return this.lines.map((line) => line.event);
  }

  async stop(): Promise<void> {
    await this.running.stop();
    this.#log.close();
  }
}

let ca: Promise<TestCa> | undefined;

/** Credentials of the one fabric of a test run. */
export async function credentials(site: string, node = `${site}1`): Promise<TlsCredentials> {
  ca ??= testCa('fabric1');
  return testCredentials(await ca, { site, node });
}

export const LISTEN = '[listen]\naddress = "127.0.0.1:0"\n';

export function peerTo(node: LabNode): string {
  return `[[peer]]\naddress = "${node.lanes}"\n`;
}

export function service(name: string, target: string, allow: string, more = ''): string {
  return `[service.${name}]\ntarget = "${target}"\nallow = ["${allow}"]\n${more}\n`;
}

export function forward(listen: string, to: string, more = ''): string {
  return `[[forward]]\nlisten = "${listen}"\nto = "${to}"\n${more}\n`;
}
