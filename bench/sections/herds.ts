/** A herd: many nodes dial one, from one address and from many, and come back after its restart. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { testCa, testCredentials } from '../../test/support/certificates.ts';
import type { NodesCommand, NodesResult } from '../load/nodes.ts';
import { cpuOf, rssOf } from '../measure.ts';
import { freePort, type Script, startScript } from '../processes.ts';
import { messageOf, type Run } from './run.ts';

type HerdAddresses = (typeof HERD_ADDRESSES)[number];

export interface HerdFigures {
  readonly nodes: number;
  readonly addresses: HerdAddresses;
  /** From the new listener's first moment until every node has its session and all its lanes. */
  readonly backMs: number;
  /** Of the listener and of all that dial, meanwhile. */
  readonly cpuSeconds: number;
  readonly diallersCpuSeconds: number;
  /** Of the listener beyond what it has without peers, for each. */
  readonly rssKBPerPeer: number;
  /** Of the listener, in thousandths of a core, for each. */
  readonly idleCpuPerMille: number;
}

/** From where a herd dials. */
export const HERD_ADDRESSES = ['one', 'many'] as const;

const LANES = 2;
const SCRIPT_TIMEOUT_MS = 150_000;

/** Herds of one address and of many, in turn. */
export async function measureHerds(run: Run): Promise<HerdFigures[]> {
  const figures: HerdFigures[] = [];
  for (const nodes of run.options.herds) {
    for (const addresses of HERD_ADDRESSES) {
      const beganMs = performance.now();
      try {
        figures.push(await measureHerd(run.dir, nodes, addresses, run.options.herdIdleMs));
      } catch (error) {
        run.problem(`${nodes} nodes of ${addresses} address: ${messageOf(error)}`);
      }
      run.progress.done(herdName(nodes, addresses), performance.now() - beganMs);
    }
  }
  return figures;
}

export function herdName(nodes: number, addresses: HerdAddresses): string {
  return `herd of ${nodes} from ${addresses}`;
}

async function measureHerd(
  dir: string,
  nodes: number,
  addresses: HerdAddresses,
  idleMs: number,
): Promise<HerdFigures> {
  const port = await freePort();
  const files = await writeCredentials(dir, nodes);
  const pids: number[] = [];
  const ask = async (script: Script, command: NodesCommand) => {
    const result = await script.request<NodesResult>(command, SCRIPT_TIMEOUT_MS);
    if (!pids.includes(result.pid)) pids.push(result.pid);
    return result;
  };
  const all = { kind: 'await', sessions: nodes, lanes: nodes * LANES } as const;
  const listen = { kind: 'listen', file: files.listener, port } as const;
  try {
    const before = startScript('./load/nodes.ts');
    const { pid } = await ask(before, listen);
    const herd = startScript('./load/nodes.ts');
    const manySources = addresses === 'many';
    const dial = { kind: 'dial', file: files.diallers, port, lanes: LANES, manySources } as const;
    const { pid: red } = await ask(herd, dial);
    await ask(before, all);
    process.kill(pid, 'SIGKILL');
    const after = startScript('./load/nodes.ts');
    // Started, and not listening yet: the herd finds nobody for a while.
    await sleep(1000);
    const redBefore = cpuOf({ red: [red], gray: [] }).red;
    const { pid: gray } = await ask(after, listen);
    const grayPids = { red: [red], gray: [gray] };
    const alone = { cpu: cpuOf(grayPids).gray, rss: rssOf(grayPids).gray };
    const { afterMs } = await ask(after, all);
    const back = cpuOf(grayPids);
    await sleep(idleMs);
    const idleFrom = cpuOf(grayPids).gray;
    await sleep(idleMs);
    const idleCpu = cpuOf(grayPids).gray - idleFrom;
    return {
      nodes,
      addresses,
      backMs: afterMs,
      cpuSeconds: back.gray - alone.cpu,
      diallersCpuSeconds: back.red - redBefore,
      rssKBPerPeer: (rssOf(grayPids).gray - alone.rss) / nodes / 1000,
      idleCpuPerMille: (idleCpu / (idleMs / 1000) / nodes) * 1000,
    };
  } finally {
    for (const pid of pids) kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was killed before.
  }
}

async function writeCredentials(dir: string, nodes: number) {
  const ca = await testCa();
  const listener = join(dir, 'listener.json');
  const diallers = join(dir, 'diallers.json');
  writeFileSync(listener, JSON.stringify([await testCredentials(ca, { site: 'gray' })]));
  const red = [];
  for (let i = 1; i <= nodes; i++) {
    red.push(await testCredentials(ca, { site: 'red', node: `red${i}` }));
  }
  writeFileSync(diallers, JSON.stringify(red));
  return { listener, diallers };
}
