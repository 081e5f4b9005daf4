import type { TcpAddress } from '@routy/proto/base';
import { loadConfig } from '../../config/load.ts';
import { createLog } from '../../observe/log.ts';
import type { Place } from '../context.ts';
import type { NewNodeOptions } from '../files/new-node.ts';
import { type Output, usageError } from '../output.ts';
import { becomeAdopted } from '../running/await-adoption.ts';
import { ownCredentials } from '../running/identity.ts';
import { runNode } from '../running/run-node.ts';

interface UpOptions extends Omit<NewNodeOptions, 'advertise'> {
  readonly awaitAdoption?: boolean;
  readonly advertise?: TcpAddress;
}

/** Runs the node in the foreground until it is told to stop. */
export async function up(out: Output, options: UpOptions): Promise<void> {
  if (options.awaitAdoption === true) await becomeAdopted(out, options);
  else requireNoNewNodeOptions(options);
  await runConfigured(options);
}

/** Goes on as `routy up` after another command made or changed the node. */
export async function runConfigured({ config: configPath }: Place): Promise<void> {
  const config = loadConfig(configPath);
  const { state, name, site } = config.node;
  const credentials = await ownCredentials(state, name, site, { expired: true });
  await runNode({ config, configPath, credentials, log: createLog(config.log) });
}

/** Options that would silently do nothing are refused. */
function requireNoNewNodeOptions(options: UpOptions): void {
  const given = (
    ['listen', 'advertise', 'node', 'service', 'allow', 'forward', 'state'] as const
  ).find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw usageError(
    `--${given} counts only with --await-adoption`,
    `a node that is configured takes it from ${options.config}: change it there`,
  );
}
