import type { LaneCode } from '../../../../packages/proto/src/wire/codes.ts';
import type { Hello } from '../../../../packages/proto/src/wire/payload.ts';

/** What may be wrong with a HELLO at either end, and what is said about it. */
export const REFUSALS: readonly {
  readonly name: string;
  readonly changes: Partial<Hello>;
  readonly code: LaneCode;
  readonly reason: RegExp;
}[] = [
  {
    name: 'another version',
    changes: { versions: [2, 3] },
    code: 'version-mismatch',
    reason: /^session protocol: version 1 here, versions 2, 3 at the peer$/,
  },
  {
    name: 'another fabric',
    changes: { fabric: 'evil' },
    code: 'identity-mismatch',
    reason: /says it is routy:\/\/evil\/.*, its certificate says routy:\/\/acme\//,
  },
  {
    name: 'another site',
    changes: { site: 'blue' },
    code: 'identity-mismatch',
    reason: /routy:\/\/acme\/blue\//,
  },
  {
    name: 'another node',
    changes: { node: 'other' },
    code: 'identity-mismatch',
    reason: /\/other, its certificate/,
  },
  {
    name: 'another value of a setting',
    changes: { settings: { heartbeat_interval: '3s' } },
    code: 'settings-mismatch',
    reason: /^heartbeat_interval: 5s here, 3s at (red\/red1|gray\/gray1)$/,
  },
  {
    name: 'a setting the other does not have, and one it lacks',
    changes: { settings: { resume_time: '60s' } },
    code: 'settings-mismatch',
    reason: /^heartbeat_interval: 5s here, not set at \S+; resume_time: not set here, 60s at \S+$/,
  },
  {
    name: 'a setting with the name of something every object has',
    changes: { settings: { heartbeat_interval: '5s', constructor: 'x' } as never },
    code: 'settings-mismatch',
    reason: /^constructor: not set here, x at/,
  },
];
