import type { LaneListener } from '@routy/link/transport';
import { formatHostPort } from '@routy/proto/base';
import type { Troubles } from '../events/troubles.ts';
import type { Forwards } from '../forwards/forwards.ts';
import type { Log } from '../observe/log.ts';
import type { AcceptedSessions } from '../peers/accepted-sessions.ts';
import type { Peers } from '../peers/peers.ts';
import type { SessionHost } from '../peers/session-host.ts';
import type { Services } from '../services/services.ts';
import { isoTime } from '../status/clock.ts';
import type {
  BufferStatus,
  DataPlaneStatus,
  LogStatus,
  NodeStatus,
  PeerStatus,
} from '../status/status.ts';
import type { CertificateWatch } from './certificate-watch.ts';

/** Where the facts of a status stand. */
export interface StatusSources {
  readonly startedAtMs: number;
  readonly version: string;
  readonly certificate: CertificateWatch;
  readonly listener: LaneListener | undefined;
  readonly dataPlane: DataPlaneStatus;
  readonly host: SessionHost;
  readonly peers: Peers;
  readonly accepted: AcceptedSessions;
  readonly services: Services;
  readonly forwards: Forwards;
  readonly log: Log;
  readonly troubles: Troubles;
  /** Keys that differ in the file and need a restart. */
  readonly restartRequired: readonly string[];
}

export function nodeStatus(state: NodeStatus['state'], from: StatusSources): NodeStatus {
  const { fabric, site, node } = from.host.sessions.commons.self;
  const peers = [...from.peers.status(), ...from.accepted.status()];
  return {
    node,
    site,
    fabric,
    version: from.version,
    pid: process.pid,
    startedAt: isoTime(from.startedAtMs),
    state,
    certificateExpiresAt: from.certificate.expiresAt,
    certificateWarning: from.certificate.warning ?? null,
    ...readiness(state, from, peers),
    troubles: from.troubles.status(),
    restartRequired: from.restartRequired,
    listening: listeningStatus(from.listener),
    dataPlane: from.dataPlane,
    peers,
    traffic: from.host.live.traffic(),
    services: from.services.all().map((service) => service.status()),
    forwards: from.forwards.all().map((forward) => forward.status()),
    buffers: bufferStatus(from.host, peers),
    log: logStatus(from.log),
  };
}

/** Whether the node can do its work now, and every reason why not. */
function readiness(
  state: NodeStatus['state'],
  { listener, forwards }: StatusSources,
  peers: readonly PeerStatus[],
): Pick<NodeStatus, 'ready' | 'notReady'> {
  const notReady: string[] = [];
  if (state === 'draining') notReady.push('it drains');
  if (listener?.error !== undefined) notReady.push(listener.error.message);
  if (peers.length > 0 && !peers.some((peer) => peer.state === 'up')) {
    notReady.push(peers.length === 1 ? 'its peer is not up' : 'none of its peers is up');
  }
  for (const forward of forwards.all()) {
    const { state: forwardState, reason } = forward.status();
    if (forwardState === 'error') notReady.push(`forward to ${forward.to}: ${reason}`);
  }
  return { ready: notReady.length === 0, notReady };
}

function listeningStatus(listener: LaneListener | undefined): NodeStatus['listening'] {
  if (listener === undefined) return null;
  const { address, error } = listener;
  return { address: formatHostPort(address.host, address.port), error: error?.message ?? null };
}

function logStatus(log: Log): LogStatus {
  const { lines, sinceMs } = log.lost();
  return {
    lostLines: lines,
    losingSince: sinceMs === null ? null : new Date(sinceMs).toISOString(),
  };
}

function bufferStatus(
  { sessions: { commons } }: SessionHost,
  peers: readonly PeerStatus[],
): BufferStatus {
  const { send, receive } = commons.pools;
  const sessions = peers.map(({ session }) => session).filter((session) => session !== null);
  return {
    usedBytes: send.used + receive.used,
    budgetBytes: send.limit + receive.limit,
    replayBytes: sessions.reduce((sum, { replayBytes }) => sum + replayBytes, 0),
    reassemblyBytes: sessions.reduce((sum, { reassemblyBytes }) => sum + reassemblyBytes, 0),
    sessionBudgetBytes: commons.limits.sessionBuffer,
    streamWindowBytes: commons.limits.streamWindow,
  };
}
