import { diffConfigs } from '../config/diff.ts';
import type { Config } from '../config/types.ts';
import type { Forwards } from '../forwards/forwards.ts';
import type { Log } from '../observe/log.ts';
import type { Peers } from '../peers/peers.ts';
import type { SessionHost } from '../peers/session-host.ts';
import type { Services } from '../services/services.ts';
import type { ReloadReport } from '../status/status.ts';

/** What of a running node a new configuration can change. */
export interface Reloadable {
  readonly services: Services;
  readonly forwards: Forwards;
  readonly peers: Peers;
  readonly host: SessionHost;
  readonly log: Log;
}

/**
 * Applies a validated configuration to a running node whose listener for lanes has moved already,
 * as only that can fail. Removing a service, a forward or a peer, or taking a peer from `allow`,
 * resets the streams concerned; no other change touches a stream. Returns the configuration now in
 * force, which keeps what only a restart can change.
 */
export function applyConfig(
  before: Config,
  after: Config,
  node: Reloadable,
): { config: Config; report: ReloadReport } {
  const diff = diffConfigs(before, after);
  const streamsReset =
    applyServices(diff.services, node.services) +
    applyForwards(diff.forwards, node.forwards) +
    applyPeers(diff.peers, node.peers);
  node.host.offerAnew(allowedBy(diff.services));
  if (before.log.level !== after.log.level) node.log.setLevel(after.log.level);
  return {
    config: inForce(before, after),
    report: {
      applied: true,
      changes: diff.live,
      restartRequired: diff.restartRequired,
      streamsReset,
    },
  };
}

type Changes = ReturnType<typeof diffConfigs>;

function applyServices(changes: Changes['services'], services: Services): number {
  let streamsReset = 0;
  for (const { name } of changes.removed) streamsReset += services.remove(name);
  for (const { after } of changes.changed) {
    services.put(after);
    streamsReset += services.get(after.name)?.resetStreams('no-longer-allowed') ?? 0;
  }
  for (const added of changes.added) services.put(added);
  return streamsReset;
}

/** Whoever may open a service that is another one now, or could before. */
function allowedBy({ added, removed, changed }: Changes['services']): ReadonlySet<string> {
  const services = [
    ...added,
    ...removed,
    ...changed.flatMap(({ before, after }) => [before, after]),
  ];
  return new Set(services.flatMap(({ allow }) => allow));
}

/** Removed ones first: an added one may want their port. */
function applyForwards(changes: Changes['forwards'], forwards: Forwards): number {
  let streamsReset = 0;
  for (const removed of changes.removed) streamsReset += forwards.remove(removed);
  for (const { after } of changes.changed) forwards.put(after);
  for (const added of changes.added) forwards.put(added);
  return streamsReset;
}

function applyPeers(changes: Changes['peers'], peers: Peers): number {
  let streamsReset = 0;
  for (const removed of changes.removed) streamsReset += peers.remove(removed);
  for (const { after } of changes.changed) peers.change(after);
  for (const added of changes.added) peers.add(added);
  return streamsReset;
}

function inForce(before: Config, after: Config): Config {
  return {
    ...before,
    node: { ...before.node, drainMs: after.node.drainMs },
    listen: after.listen,
    peers: after.peers,
    services: after.services,
    forwards: after.forwards,
    log: { ...before.log, level: after.log.level },
  };
}
