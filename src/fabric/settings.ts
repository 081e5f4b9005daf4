import { formatDuration } from '../base/units.ts';

/** The settings that must be equal on every node. Shape of `Config.fabric`. */
export interface SharedSettingsInput {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  readonly resumeTimeMs: number;
}

/** One shared setting that two nodes do not agree on; undefined where a side did not send it. */
export interface SettingDifference {
  /** As in the `[fabric]` table of `routy.toml`: `heartbeat_interval`. */
  readonly name: string;
  readonly local: string | undefined;
  readonly remote: string | undefined;
}

/**
 * What HELLO carries: names as in `routy.toml`, values as people write them in one canonical form
 * (`60s`, never `1m`), so that equal settings are equal strings.
 */
export function sharedSettings(fabric: SharedSettingsInput): Record<string, string> {
  return {
    heartbeat_interval: formatDuration(fabric.heartbeatIntervalMs),
    heartbeat_misses: String(fabric.heartbeatMisses),
    resume_time: formatDuration(fabric.resumeTimeMs),
  };
}

/** Every setting whose values differ, by name. A setting only one side knows differs too. */
export function compareSettings(
  local: Readonly<Record<string, string>>,
  remote: Readonly<Record<string, string>>,
): SettingDifference[] {
  const names = new Set([...Object.keys(local), ...Object.keys(remote)]);
  const differences: SettingDifference[] = [];
  for (const name of [...names].sort()) {
    const here = ownValue(local, name);
    const there = ownValue(remote, name);
    if (here !== there) differences.push({ name, local: here, remote: there });
  }
  return differences;
}

/** `heartbeat_interval: here 5s, at red/red1 3s`. */
export function describeDifference(difference: SettingDifference, peer: string): string {
  const { name, local, remote } = difference;
  return `${name}: here ${local ?? 'not set'}, at ${peer} ${remote ?? 'not set'}`;
}

// `remote` comes from the peer's JSON: a name such as "constructor" must not reach the prototype.
function ownValue(record: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
