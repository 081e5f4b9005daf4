import { isAbsolute, join } from 'node:path';
import { AdminClient } from '../admin/client.ts';
import { inspectConfig, loadConfig, readConfigFile } from '../config/load.ts';

export const DEFAULT_CONFIG = '/etc/routy/routy.toml';
export const DEFAULT_STATE = '/var/lib/routy';

/** Where a command finds the node; `state` wins over what the configuration says. */
export interface Place {
  readonly config: string;
  readonly state?: string;
}

/**
 * The state directory: `--state`, or what the configuration says. Nothing else is taken from it, so
 * that faults elsewhere in it keep nobody from looking at the node, steering it or renewing its
 * certificate.
 */
export function stateOf({ state, config }: Place): string {
  if (state !== undefined) return state;
  const text = readConfigFile(config);
  const { draft } = inspectConfig(text);
  return draft?.node?.state ?? stateInText(text) ?? loadConfig(config).node.state;
}

export function adminSocketPath(state: string): string {
  return join(state, 'admin.sock');
}

/** The way to the running node. */
export function adminOf(place: Place): AdminClient {
  return new AdminClient(adminSocketPath(stateOf(place)));
}

/** `state` in `[node]` of a text that is not TOML as a whole. */
function stateInText(text: string): string | undefined {
  const section =
    /^[ \t]*\[[ \t]*node[ \t]*\][ \t]*(?:#.*)?$([\s\S]*?)(?=^[ \t]*\[|$(?![\s\S]))/m.exec(text);
  const value = /^[ \t]*state[ \t]*=[ \t]*(?:"([^"\\\n]*)"|'([^'\n]*)')/m.exec(section?.[1] ?? '');
  const path = value?.[1] ?? value?.[2];
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
