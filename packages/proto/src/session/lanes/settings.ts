import { formatDuration } from '../../base/units.ts';

type Settings = Readonly<Record<string, string>>;

/**
 * Every shared setting whose values differ, by name: `heartbeat_interval: 5s here, 3s at red/red1`.
 * A setting that only one side has differs too.
 */
export function settingDifferences(here: Settings, there: Settings, peer: string): string[] {
  const names = new Set([...Object.keys(here), ...Object.keys(there)]);
  return [...names]
    .sort()
    .filter((name) => valueIn(here, name) !== valueIn(there, name))
    .map((name) => `${name}: ${valueIn(here, name)} here, ${valueIn(there, name)} at ${peer}`);
}

// The peer's names come from its JSON: `constructor` must not reach the prototype.
function valueIn(settings: Settings, name: string): string {
  return (Object.hasOwn(settings, name) ? settings[name] : undefined) ?? 'not set';
}

/**
 * The times of a session as HELLO carries them: names as in `routy.toml`, values as people write them
 * in one canonical form (`60s`, never `1m`), so that equal settings are equal strings.
 */
export function timesAsSettings(times: {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  readonly resumeTimeMs: number;
}): Record<string, string> {
  return {
    heartbeat_interval: formatDuration(times.heartbeatIntervalMs),
    heartbeat_misses: String(times.heartbeatMisses),
    resume_time: formatDuration(times.resumeTimeMs),
  };
}
