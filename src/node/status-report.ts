import { formatHostPort } from '../base/address.ts';
import type { LaneListener } from '../transport/listen.ts';
import type { AcceptedSessions } from './accepted.ts';
import type { CertificateWatch } from './certificate-watch.ts';
import type { Forwards } from './forwards.ts';
import type { Peers } from './peers.ts';
import type { Services } from './service.ts';
import type { SessionHost } from './session-host.ts';
import type { BufferStatus, NodeStatus, PeerStatus } from './status.ts';

/** Where the facts of a status stand. */
export interface StatusSources {
  readonly startedAtMs: number;
  readonly version: string;
  readonly certificate: CertificateWatch;
  readonly listener: LaneListener | undefined;
  readonly host: SessionHost;
  readonly peers: Peers;
  readonly accepted: AcceptedSessions;
  readonly services: Services;
  readonly forwards: Forwards;
}

export function nodeStatus(state: NodeStatus['state'], from: StatusSources): NodeStatus {
  const { fabric, site, node } = from.host.commons.self;
  const peers = [...from.peers.status(), ...from.accepted.status()];
  return {
    node,
    site,
    fabric,
    version: from.version,
    pid: process.pid,
    startedAt: new Date(from.startedAtMs).toISOString(),
    state,
    certificateExpiresAt: from.certificate.expiresAt,
    certificateWarning: from.certificate.warning ?? null,
    listening: listeningStatus(from.listener),
    peers,
    services: from.services.all().map((service) => service.status()),
    forwards: from.forwards.all().map((forward) => forward.status()),
    buffers: bufferStatus(from.host, peers),
  };
}

function listeningStatus(listener: LaneListener | undefined): NodeStatus['listening'] {
  if (listener === undefined) return null;
  const { address, error } = listener;
  return { address: formatHostPort(address.host, address.port), error: error?.message ?? null };
}

function bufferStatus({ commons }: SessionHost, peers: readonly PeerStatus[]): BufferStatus {
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
