import { existsSync, rmSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import {
  formatAddress,
  type Identity,
  isName,
  RoutyError,
  type TcpAddress,
} from '@routy/proto/base';
import { renderConfig } from '../../config/edit/render.ts';
import { writeConfigFile } from '../../config/edit/write.ts';
import { parseConfig } from '../../config/load.ts';
import { DEFAULT_STATE } from '../context.ts';
import { usageError } from '../output.ts';
import type { ForwardOption, ServiceOption } from '../parse.ts';

/** The options of every command that makes a node's configuration. */
export interface NewNodeOptions {
  readonly config: string;
  readonly state?: string;
  readonly node?: string;
  readonly listen?: TcpAddress;
  /** Where others dial it, remembered for invites. */
  readonly advertise?: readonly TcpAddress[];
  readonly service?: readonly ServiceOption[];
  readonly allow?: readonly string[];
  readonly forward?: readonly ForwardOption[];
}

/** Whom the new node dials. */
export interface NewPeers {
  readonly addresses: readonly TcpAddress[];
  readonly via?: string | undefined;
}

export function newStateDir(options: Pick<NewNodeOptions, 'state'>): string {
  return resolve(options.state ?? DEFAULT_STATE);
}

/**
 * The text of a new `routy.toml`, validated.
 *
 * @throws RoutyError `config-exists` when there is a file already, `config-invalid`, `usage`
 */
export function newConfigText(
  options: NewNodeOptions,
  identity: Pick<Identity, 'site' | 'node'>,
  peers: readonly NewPeers[],
): string {
  requireNoConfig(options);
  const allow = options.allow ?? [];
  const services = (options.service ?? []).map(({ name, target }) => ({ name, target, allow }));
  if (allow.length > 0 && services.length === 0) {
    throw usageError(
      '--allow without --service',
      'say what may be opened: --service NAME=TARGET --allow SITE',
    );
  }
  const text = renderConfig({
    name: identity.node,
    site: identity.site,
    state: newStateDir(options),
    listen: options.listen && formatAddress(options.listen),
    advertise: options.advertise?.map(formatAddress),
    peers: peers.map(({ addresses, via }) => ({ addresses: addresses.map(formatAddress), via })),
    services,
    forwards: options.forward ?? [],
  });
  parseConfig(text, options.config);
  return text;
}

function requireNoConfig(options: NewNodeOptions): void {
  if (!existsSync(options.config)) return;
  throw new RoutyError('config-exists', `there is already a configuration: ${options.config}`, {
    hint: 'to renew the certificate of that node: routy cert renew; for another node name another file with --config PATH',
  });
}

/**
 * Writes the configuration, then does what makes the node, and takes the file back when that fails.
 * In this order, because the right to write is what most often lacks, and a CA cannot be unmade nor
 * an invite used twice.
 */
export async function withNewConfig<T>(
  options: NewNodeOptions,
  text: string,
  make: () => Promise<T>,
): Promise<T> {
  writeConfigFile(options.config, text);
  try {
    return await make();
  } catch (error) {
    rmSync(options.config, { force: true });
    throw error;
  }
}

/** The node's name when none is given: this machine's, as far as it can be a name. */
export function defaultNodeName(site: string): string {
  const first = hostname().split('.')[0]!.toLowerCase();
  const name = first
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');
  return isName(name) ? name : `${site}1`;
}

/**
 * Where others may dial a node that listens here, as far as this machine knows: for `0.0.0.0` and
 * `::` each of its own addresses, global ones only.
 */
export function dialableAddresses(listen: TcpAddress): TcpAddress[] {
  if (listen.host !== '0.0.0.0' && listen.host !== '::') return [listen];
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .filter(({ family }) => listen.host === '::' || family === 'IPv4')
    .map(({ address }) => ({ ...listen, host: address }));
}

/** The arguments that make another command find this node again, with a space in front. */
export function placeArguments(options: NewNodeOptions, defaultConfig: string): string {
  return options.config === defaultConfig ? '' : ` --config ${options.config}`;
}
