/** What `routy status --json` prints: evidence, not intentions. Times are ISO 8601, UTC. */
export interface NodeStatus {
  readonly node: string;
  readonly site: string;
  readonly fabric: string;
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly state: 'running' | 'draining';
  /** It can do its work now: it listens where it should, and a peer is up if it knows any. */
  readonly ready: boolean;
  /** Every reason why not; empty when it is. */
  readonly notReady: readonly string[];
  /** What fails beside the carrying of streams, and is tried again. */
  readonly troubles: readonly TroubleStatus[];
  /** Keys whose value in the file, as last read, is not the one in force: they need a restart. */
  readonly restartRequired: readonly string[];
  /** When this node's certificate ends. */
  readonly certificateExpiresAt: string;
  /** That it ends soon or has ended, from 30 days before on; null earlier. */
  readonly certificateWarning: string | null;
  readonly listening: { readonly address: string; readonly error: string | null } | null;
  readonly dataPlane: DataPlaneStatus;
  readonly peers: readonly PeerStatus[];
  /** What was exchanged with each node since this one started, over all sessions. */
  readonly traffic: readonly TrafficStatus[];
  readonly services: readonly ServiceStatus[];
  readonly forwards: readonly ForwardStatus[];
  readonly buffers: BufferStatus;
  readonly log: LogStatus;
}

/** What carries the bytes of lanes. */
export interface DataPlaneStatus {
  readonly configured: 'auto' | 'portable' | 'native';
  readonly inUse: 'portable' | 'native';
  /** Why it is not the native one that is configured; null when nothing is wrong. */
  readonly reason: string | null;
}

/** Lines of the log that its reader did not take in time. */
export interface LogStatus {
  /** Since the start. */
  readonly lostLines: number;
  /** Since when lines are being lost; null while none are. */
  readonly losingSince: string | null;
}

/** Stream payload; these figures only grow. */
export interface TrafficStatus {
  /** `site/node`. */
  readonly peer: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Sent once more because a lane was lost. */
  readonly bytesReplayed: number;
}

export interface TroubleStatus {
  /** `metrics`, `admin socket`, `event loop`. */
  readonly what: string;
  readonly since: string;
  readonly reason: string;
  readonly hint: string | null;
}

/** What all sessions hold together, in bytes, and what they may. */
export interface BufferStatus {
  readonly usedBytes: number;
  readonly budgetBytes: number;
  /** Kept until the peers have written them to their destination. */
  readonly replayBytes: number;
  /** Received ahead of bytes that are still missing. */
  readonly reassemblyBytes: number;
  /** Most bytes of one session, half of it for each direction. */
  readonly sessionBudgetBytes: number;
  /** Most bytes of window of one stream, and so most it may hold for reassembly. */
  readonly streamWindowBytes: number;
}

export interface PeerStatus {
  /** `site/node`, or null while no session was ever established. */
  readonly name: string | null;
  /** `dialled` for a configured peer, `accepted` for a node that dialled here. */
  readonly direction: 'dialled' | 'accepted';
  /** Configured addresses (dialled) or the remote address (accepted). */
  readonly addresses: readonly string[];
  readonly state: 'up' | 'suspended' | 'dialling' | 'backoff' | 'refused' | 'down';
  /** Since when the state is what it is. */
  readonly since: string;
  /** Why it is not up; null when it is. */
  readonly reason: string | null;
  /** What to do about it, when known. */
  readonly hint: string | null;
  /** Consecutive failed attempts. */
  readonly attempts: number;
  readonly nextAttemptInMs: number | null;
  readonly session: SessionStatus | null;
}

export interface SessionStatus {
  readonly id: string;
  /** `suspended` while no lane carries it. */
  readonly state: 'up' | 'suspended';
  /** Of the lane that came last, the first being 1. */
  readonly epoch: number;
  /** Of the lane that came last, as is `security`. */
  readonly remoteAddress: string;
  readonly security: string;
  readonly rttMs: number | null;
  /** Since bytes of the peer arrived last, on any lane; null without a lane. */
  readonly lastHeardMsAgo: number | null;
  /** Every lane has missed a heartbeat. */
  readonly silent: boolean;
  /** Peer's clock minus this node's. */
  readonly clockOffsetMs: number | null;
  /** Those that carry it, oldest first. */
  readonly lanes: readonly LaneStatus[];
  readonly streams: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Stream payload that was sent once more because a lane was lost. */
  readonly bytesReplayed: number;
  readonly bufferedBytes: number;
  /** What the session has of the buffer budgets, windows granted to the peer included. */
  readonly usedBytes: number;
  /** What it may have at the moment: its share, which depends on what other peers use. */
  readonly shareBytes: number;
  /** Streams of the peer that were refused (`overload`), since it is at its limits here. */
  readonly streamsRefused: number;
  /** Kept until the peer has written them to their destination. */
  readonly replayBytes: number;
  /** Received ahead of bytes that are still missing. */
  readonly reassemblyBytes: number;
  /** The same of the stream that holds most. */
  readonly streamReplayBytesMax: number;
  readonly streamReassemblyBytesMax: number;
  /** Services the peer offers to this node, the first thousand of them. */
  readonly offers: readonly string[];
  /** How many they are in all. */
  readonly offersCount: number;
  /** Services it may open here and is not told of, as they are more than a list has room for. */
  readonly offersLeftOut: number;
}

/** A TLS connection that carries a session. */
export interface LaneStatus {
  readonly epoch: number;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly rttMs: number | null;
  readonly lastHeardMsAgo: number;
  /** A heartbeat of the peer is missing on it. */
  readonly silent: boolean;
  /** Streams that are at home on it. */
  readonly streams: number;
  readonly bytesSent: number;
}

/** The last end-to-end result of a service or forward. */
export interface LastResult {
  readonly at: string;
  readonly ok: boolean;
  /** `connected`, or why it failed. */
  readonly detail: string;
  /** The node at the other end, `site/node`. */
  readonly peer: string | null;
}

export interface ServiceStatus {
  readonly name: string;
  readonly target: string;
  readonly allow: readonly string[];
  readonly streams: number;
  readonly opened: number;
  readonly refused: number;
  readonly last: LastResult | null;
}

/** The reason of a forward whose listener has no answer of the system yet. */
export const ABOUT_TO_LISTEN = 'about to listen';

export interface ForwardStatus {
  readonly listen: string;
  readonly to: string;
  readonly state: 'listening' | 'unavailable' | 'holding' | 'error';
  /** Why it is not listening; null when it is. */
  readonly reason: string | null;
  readonly streams: number;
  readonly opened: number;
  readonly refused: number;
  readonly last: LastResult | null;
}

export interface PingReply {
  readonly peer: string;
  readonly sequence: number;
  readonly rttMs: number;
  readonly clockOffsetMs: number;
}

/** How a drain stands. */
export interface DrainReport {
  /** True when no stream is open any more. */
  readonly drained: boolean;
  /** Open streams. */
  readonly streams: number;
}

/** What came of ending a drain. */
export interface UndrainReport {
  /** False when the node did not drain. */
  readonly undrained: boolean;
  /** Sessions that carry streams opened before: their peers open new ones when those have ended. */
  readonly sessionsWaiting: number;
}

/** What a reload did. `applied` is false when the file was refused; then nothing changed. */
export interface ReloadReport {
  readonly applied: boolean;
  readonly changes: readonly string[];
  /** Keys that changed in the file but need a restart. */
  readonly restartRequired: readonly string[];
  /** Streams that were reset because their service or forward went away. */
  readonly streamsReset: number;
}
