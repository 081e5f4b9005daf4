import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { NodeStatus, PeerStatus, SessionStatus } from '../status/status.ts';

/**
 * The figures of one node for Prometheus. Gauges are read from the node's status when somebody asks,
 * so nothing is done per chunk; only rare events are counted as they happen.
 */
export interface Metrics {
  /** Where figures come from; without it only the process's own are shown. */
  bind(status: () => NodeStatus): void;
  /** An attempt to dial a peer ended; `outcome` is `established` or why not (a stable code). */
  dialAttempt(outcome: string): void;
  /** A lane, session or stream was refused; `reason` is a stable code. */
  refusal(reason: string, count?: number): void;
  /** A session that had no lane is carried again. */
  sessionResumed(peer: string): void;
  /** The peer is neither here nor expected: it has no figures any more. */
  forgetPeer(peer: string): void;
  /** A lane that carried a session was lost; `code` is a stable code. */
  laneLost(code: string): void;
  /** A listener had to be opened again after an error. */
  listenerRestart(listener: string): void;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
}

/** How often the event loop's lag is sampled, in ms; the default of 10 would wake small boxes. */
const LAG_SAMPLE_MS = 100;

export function createMetrics(): Metrics {
  const registry = new Registry();
  let status: (() => NodeStatus) | undefined;
  let scraped: NodeStatus | undefined;
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_SAMPLE_MS });
  const read = (): NodeStatus | undefined => scraped;
  addSessionMetrics(registry, read);
  addStreamMetrics(registry, read);
  addBufferMetrics(registry, read);
  const counters = addCounters(registry);
  return {
    bind: (provider) => {
      status = provider;
    },
    dialAttempt: (outcome) => counters.dials.inc({ outcome }),
    refusal: (reason, count = 1) => counters.refusals.inc({ reason }, count),
    sessionResumed: (peer) => counters.resumes.inc({ peer }),
    forgetPeer: (peer) => counters.resumes.remove({ peer }),
    laneLost: (code) => counters.lanesLost.inc({ code }),
    listenerRestart: (listener) => counters.restarts.inc({ listener }),
    text: () => {
      // All figures of an answer are of one status, which is made once: all are read before the
      // first of them is waited for.
      scraped = status?.();
      const text = registry.metrics();
      scraped = undefined;
      return text;
    },
  };
}

type Read = () => NodeStatus | undefined;

const SESSION_STATES = ['up', 'suspended', 'dialling', 'backoff', 'refused', 'down'] as const;

function addSessionMetrics(registry: Registry, read: Read): void {
  pulled(
    registry,
    read,
    'routy_sessions',
    'Peers by state of their session.',
    ['state'],
    (gauge, node) => {
      for (const state of SESSION_STATES) {
        gauge.set({ state }, node.peers.filter((peer) => peer.state === state).length);
      }
    },
  );
  perPeer(
    registry,
    read,
    'routy_lanes',
    'TLS connections that carry a session.',
    sum,
    (peer) => peer.session?.lanes.length,
  );
  perPeer(
    registry,
    read,
    'routy_session_rtt_seconds',
    'Round-trip time of heartbeats.',
    newest,
    (peer) => seconds(peer.session?.rttMs),
  );
  perPeer(
    registry,
    read,
    'routy_last_heard_seconds',
    'Since bytes of the peer arrived last.',
    Math.min,
    (peer) => seconds(peer.session?.lastHeardMsAgo),
  );
  perPeer(
    registry,
    read,
    'routy_clock_offset_seconds',
    "The peer's clock minus this node's.",
    newest,
    (peer) => seconds(peer.session?.clockOffsetMs),
  );
  pulled(registry, read, 'routy_ready', 'The node can do its work.', [], (gauge, node) => {
    gauge.set(node.ready ? 1 : 0);
  });
  pulled(
    registry,
    read,
    'routy_certificate_expires_seconds',
    "When this node's certificate ends, Unix time.",
    [],
    (gauge, node) => {
      gauge.set(Date.parse(node.certificateExpiresAt) / 1000);
    },
  );
}

function addStreamMetrics(registry: Registry, read: Read): void {
  const labels = ['kind', 'name'];
  pulled(registry, read, 'routy_streams_open', 'Streams open now.', labels, (gauge, node) => {
    for (const each of endpoints(node)) gauge.set(each.labels, each.streams);
  });
  pulledCounter(
    registry,
    read,
    'routy_streams_total',
    'Streams opened.',
    labels,
    (counter, node) => {
      for (const each of endpoints(node)) counter.inc(each.labels, each.opened);
    },
  );
  pulledCounter(
    registry,
    read,
    'routy_streams_refused_total',
    'Streams refused.',
    labels,
    (counter, node) => {
      for (const each of endpoints(node)) counter.inc(each.labels, each.refused);
    },
  );
  pulledCounter(
    registry,
    read,
    'routy_stream_bytes_total',
    'Stream payload exchanged with a peer.',
    ['direction', 'peer'],
    (counter, node) => {
      for (const { peer, bytesSent, bytesReceived } of node.traffic) {
        counter.inc({ direction: 'sent', peer }, bytesSent);
        counter.inc({ direction: 'received', peer }, bytesReceived);
      }
    },
  );
}

function addBufferMetrics(registry: Registry, read: Read): void {
  pulledCounter(
    registry,
    read,
    'routy_replayed_bytes_total',
    'Stream payload that was sent once more.',
    ['peer'],
    (counter, node) => {
      for (const { peer, bytesReplayed } of node.traffic) counter.inc({ peer }, bytesReplayed);
    },
  );
  heldBytes(registry, read, 'replay', 'until the peer has written them', (session) => [
    session.replayBytes,
    session.streamReplayBytesMax,
  ]);
  heldBytes(registry, read, 'reassembly', 'ahead of bytes still missing', (session) => [
    session.reassemblyBytes,
    session.streamReassemblyBytesMax,
  ]);
  pulled(
    registry,
    read,
    'routy_held_bytes',
    'Bytes all sessions hold, by what for.',
    ['kind'],
    (gauge, node) => {
      gauge.set({ kind: 'replay' }, node.buffers.replayBytes);
      gauge.set({ kind: 'reassembly' }, node.buffers.reassemblyBytes);
    },
  );
  pulled(
    registry,
    read,
    'routy_held_limit_bytes',
    'Most bytes held in one direction, by what of.',
    ['of'],
    (gauge, node) => {
      gauge.set({ of: 'process' }, node.buffers.budgetBytes / 2);
      gauge.set({ of: 'session' }, node.buffers.sessionBudgetBytes / 2);
      gauge.set({ of: 'stream' }, node.buffers.streamWindowBytes);
    },
  );
  pulledCounter(
    registry,
    read,
    'routy_log_lines_lost_total',
    'Lines of the log that whoever reads it did not take in time.',
    [],
    (counter, node) => counter.inc(node.log.lostLines),
  );
  pulled(registry, read, 'routy_buffer_bytes', 'Bytes held in buffers.', [], (gauge, node) => {
    gauge.set(node.buffers.usedBytes);
  });
  pulled(
    registry,
    read,
    'routy_buffer_budget_bytes',
    'Most bytes buffers may hold.',
    [],
    (gauge, node) => {
      gauge.set(node.buffers.budgetBytes);
    },
  );
}

/** What a session holds, and the stream that holds most. */
function heldBytes(
  registry: Registry,
  read: Read,
  kind: 'replay' | 'reassembly',
  why: string,
  figures: (session: SessionStatus) => readonly [number, number],
): void {
  perPeer(
    registry,
    read,
    `routy_session_${kind}_bytes`,
    `Bytes the session holds ${why}.`,
    sum,
    ({ session }) => (session === null ? undefined : figures(session)[0]),
  );
  perPeer(
    registry,
    read,
    `routy_stream_${kind}_bytes_max`,
    `The same of its stream that holds most.`,
    Math.max,
    ({ session }) => (session === null ? undefined : figures(session)[1]),
  );
}

interface Counters {
  readonly dials: Counter;
  readonly refusals: Counter;
  readonly resumes: Counter;
  readonly lanesLost: Counter;
  readonly restarts: Counter;
}

function addCounters(registry: Registry): Counters {
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    new Counter({ name, help, labelNames, registers: [registry] });
  return {
    dials: counter('routy_dial_attempts_total', 'Attempts to dial a peer, by outcome.', [
      'outcome',
    ]),
    refusals: counter('routy_refusals_total', 'Lanes, sessions and streams refused.', ['reason']),
    resumes: counter(
      'routy_session_resumes_total',
      'Sessions carried again after they had no lane.',
      ['peer'],
    ),
    lanesLost: counter('routy_lanes_lost_total', 'Lanes lost that carried a session.', ['code']),
    restarts: counter('routy_listener_restarts_total', 'Listeners opened again after an error.', [
      'listener',
    ]),
  };
}

/** A gauge whose value is read at scrape time; labels of things that went away disappear. */
function pulled(
  registry: Registry,
  read: Read,
  name: string,
  help: string,
  labelNames: string[],
  fill: (gauge: Gauge, node: NodeStatus) => void,
): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      const node = read();
      if (node !== undefined) fill(this, node);
    },
  });
}

/** The same for a figure the node itself counts. */
function pulledCounter(
  registry: Registry,
  read: Read,
  name: string,
  help: string,
  labelNames: string[],
  fill: (counter: Counter, node: NodeStatus) => void,
): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      const node = read();
      if (node !== undefined) fill(this, node);
    },
  });
}

/** Makes one figure of those of two sessions, of which `later` is the newer. */
type Combine = (earlier: number, later: number) => number;

const sum: Combine = (earlier, later) => earlier + later;
const newest: Combine = (_earlier, later) => later;

/** There are two sessions with a node where each of the two dials the other. */
function perPeer(
  registry: Registry,
  read: Read,
  name: string,
  help: string,
  combine: Combine,
  value: (peer: PeerStatus) => number | undefined,
): void {
  pulled(registry, read, name, help, ['peer'], (gauge, node) => {
    const figures = new Map<string, number>();
    for (const peer of newestLast(node.peers)) {
      const figure = value(peer);
      if (figure === undefined) continue;
      const label = peer.name ?? 'unknown';
      const earlier = figures.get(label);
      figures.set(label, earlier === undefined ? figure : combine(earlier, figure));
    }
    for (const [peer, figure] of figures) gauge.set({ peer }, figure);
  });
}

/** By when they came up; those that are not up come first, as what they measured is old. */
function newestLast(peers: readonly PeerStatus[]): PeerStatus[] {
  const key = ({ state, since }: PeerStatus): string => `${state === 'up' ? 1 : 0} ${since}`;
  return [...peers].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function seconds(ms: number | null | undefined): number | undefined {
  return ms === null || ms === undefined ? undefined : ms / 1000;
}

interface Endpoint {
  readonly labels: { readonly kind: 'service' | 'forward'; readonly name: string };
  readonly streams: number;
  readonly opened: number;
  readonly refused: number;
}

function endpoints(node: NodeStatus): Endpoint[] {
  const services = node.services.map((service): Endpoint => {
    return { ...service, labels: { kind: 'service', name: service.name } };
  });
  const forwards = node.forwards.map((forward): Endpoint => {
    return { ...forward, labels: { kind: 'forward', name: `${forward.listen} ${forward.to}` } };
  });
  return [...services, ...forwards];
}
