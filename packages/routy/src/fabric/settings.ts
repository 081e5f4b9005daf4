import { formatDuration } from '@routy/proto/base';

/** The settings that must be equal on every node. Shape of `Config.fabric`. */
export interface SharedSettingsInput {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  readonly resumeTimeMs: number;
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
