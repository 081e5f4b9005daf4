import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Adoption, awaitAdoption } from '../../../packages/routy/src/enrol/enrol-await.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import { EventLog, LAB_STEP_MS, temporaryDirectory } from '../../support/nodes/enrol-lab.ts';

export const ANY_PORT = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

export interface Newcomer extends Adoption {
  readonly stateDir: string;
  readonly events: EventLog;
}

export async function startNewcomer(
  t: TestContext,
  stateDir: string,
  options: { node?: string; stepMs?: number } = {},
): Promise<Newcomer> {
  const events = new EventLog();
  const { log } = events;
  const waiting = await awaitAdoption({
    stateDir,
    listen: ANY_PORT,
    log,
    stepMs: LAB_STEP_MS,
    ...options,
  });
  t.after(() => waiting.close());
  return { ...waiting, stateDir, events };
}

/** A CA's state directory, and the names of two more directories beside it. */
export async function startLab(
  t: TestContext,
): Promise<{ caDir: string; one: string; two: string }> {
  const directory = await temporaryDirectory(t);
  const caDir = join(directory, 'ca');
  await initFabric({ stateDir: caDir, fabric: 'lab', site: 'red', node: 'red1' });
  return { caDir, one: join(directory, 'one'), two: join(directory, 'two') };
}
