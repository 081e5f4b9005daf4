import { timesAsSettings } from '@routy/proto/session';

/** The settings that must be equal on every node. Shape of `Config.fabric`. */
export interface SharedSettingsInput {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  readonly resumeTimeMs: number;
}

/** What HELLO carries: names as in `routy.toml`, values in one canonical form. */
export function sharedSettings(fabric: SharedSettingsInput): Record<string, string> {
  return timesAsSettings(fabric);
}
