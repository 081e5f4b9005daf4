import type { LaneCode } from '@routy/proto/wire';
import type { SessionEnd } from '../../driver/driver-types.ts';

/** What to do about a session or lane that ended so; undefined when it mends itself. */
export function endHint({ code }: Pick<SessionEnd, 'code'>): string | undefined {
  return HINTS[code];
}

const HINTS: Partial<Record<LaneCode, string>> = {
  'settings-mismatch': 'Give both ends the same times and settings in createLink.',
  'version-mismatch': 'Install the same version of @routy/link at both ends.',
  'identity-mismatch': 'The address leads to another node than expected, or to this one.',
  'heartbeat-timeout': 'The path lost everything for a while: check the network.',
  'resume-timeout': 'The path was gone for longer than resumeTimeMs: check the network.',
  'not-authorized': 'The other end does not admit this one.',
  'stale-epoch': 'Another process runs with the identity of this one: stop one of the two.',
  'taken-over': 'Another process runs with the identity of this one, or this one began anew.',
  'unknown-session':
    'The other end began anew and knows nothing of the session: open streams again.',
  overload: 'One of the two ends is at its limits: see limits of createLink.',
};
