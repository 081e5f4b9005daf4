import type { SessionEnd } from '@routy/link/driver';

/**
 * What to do about a session or lane that ended so; undefined when it mends itself, or when the
 * advice is for the other end, which was refused here.
 */
export function laneHint({
  code,
  remote,
}: Pick<SessionEnd, 'code' | 'remote'>): string | undefined {
  return LANE_HINTS[code] ?? (remote ? REFUSED_HINTS[code] : undefined);
}

const LANE_HINTS: Readonly<Record<string, string>> = {
  'settings-mismatch':
    'Make [fabric] in routy.toml equal on both nodes and restart the changed one.',
  'version-mismatch':
    'The two nodes run versions of Routy that do not fit together: compare "routy version" on both and install the same.',
  'identity-mismatch': 'The address leads to another node than expected: check [[peer]] address.',
  'heartbeat-timeout': 'The path between the nodes lost everything for a while: check the network.',
  'resume-timeout': 'The path was gone for longer than resume_time: check the network.',
  'protocol-error':
    'Compare "routy version" on both nodes: when it is the same, one of the two is defective; report this with both logs.',
};

/** For the end that was refused. */
const REFUSED_HINTS: Readonly<Record<string, string>> = {
  'not-authorized': 'The other node does not admit this one: look at the log there.',
  'stale-epoch': 'Another process runs with the certificate of this node: stop one of the two.',
  overload: 'The other node is at its limits: look at its log and at [limits].',
};
