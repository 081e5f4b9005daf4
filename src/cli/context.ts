import { join } from 'node:path';
import { AdminClient } from '../admin/client.ts';
import { loadConfig } from '../config/load.ts';

export const DEFAULT_CONFIG = '/etc/routy/routy.toml';
export const DEFAULT_STATE = '/var/lib/routy';

/** Where a command finds the node; `state` wins over what the configuration says. */
export interface Place {
  readonly config: string;
  readonly state?: string;
}

/** The state directory; reads the configuration unless `--state` names it. */
export function stateOf(place: Place): string {
  return place.state ?? loadConfig(place.config).node.state;
}

export function adminSocketPath(state: string): string {
  return join(state, 'admin.sock');
}

/** The way to the running node. */
export function adminOf(place: Place): AdminClient {
  return new AdminClient(adminSocketPath(stateOf(place)));
}
