import { formatAddress, formatDuration, type TcpAddress } from '@routy/proto/base';
import type { Config, ForwardConfig, PeerConfig, ServiceConfig } from './types.ts';

/** Items of one kind that differ between two configs. Compared by what they say, not by place. */
export interface ItemChanges<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  /** Same key (service name, forward's listen address, peer's addresses and via), other values. */
  readonly changed: readonly { readonly before: T; readonly after: T }[];
}

/** What a reload has to do. */
export interface ConfigDiff {
  readonly services: ItemChanges<ServiceConfig>;
  readonly forwards: ItemChanges<ForwardConfig>;
  readonly peers: ItemChanges<PeerConfig>;
  /** Every change that applies live, one line each: `service postgres: added`. */
  readonly live: readonly string[];
  /** Keys that changed and apply only after a restart, as in the file: `node.name`. */
  readonly restartRequired: readonly string[];
}

/** Compares the running config with the one just loaded. */
export function diffConfigs(before: Config, after: Config): ConfigDiff {
  const services = changesOf(
    [...before.services.values()],
    [...after.services.values()],
    serviceKey,
  );
  const forwards = changesOf(before.forwards, after.forwards, forwardKey);
  const peers = changesOf(before.peers, after.peers, peerKey);
  return {
    services,
    forwards,
    peers,
    live: [
      ...listenLines(before.listen?.address, after.listen?.address),
      ...describe('service', services, serviceKey),
      ...describe('forward', forwards, forwardKey),
      ...describe('peer', peers, peerName),
      ...liveValues(before, after),
    ],
    restartRequired: restartKeys(before, after),
  };
}

function listenLines(before: TcpAddress | undefined, after: TcpAddress | undefined): string[] {
  const [from, to] = [before, after].map((address) => address && formatAddress(address));
  if (from === to) return [];
  if (from === undefined) return [`listen ${to}: added`];
  if (to === undefined) return [`listen ${from}: removed`];
  return [`listen.address: ${from} to ${to}`];
}

function liveValues(before: Config, after: Config): string[] {
  const lines: string[] = [];
  if (before.log.level !== after.log.level) {
    lines.push(`log.level: ${before.log.level} to ${after.log.level}`);
  }
  if (before.node.drainMs !== after.node.drainMs) {
    const [from, to] = [before.node.drainMs, after.node.drainMs].map(formatDuration);
    lines.push(`node.drain_timeout: ${from} to ${to}`);
  }
  return lines;
}

type Key = readonly [name: string, value: (config: Config) => unknown];

const RESTART_KEYS: readonly Key[] = [
  ['node.name', (config) => config.node.name],
  ['node.site', (config) => config.node.site],
  ['node.state', (config) => config.node.state],
  ['node.data_plane', (config) => config.node.dataPlane],
  ['fabric.heartbeat_interval', (config) => config.fabric.heartbeatIntervalMs],
  ['fabric.heartbeat_misses', (config) => config.fabric.heartbeatMisses],
  ['fabric.resume_time', (config) => config.fabric.resumeTimeMs],
  ['limits.stream_window', (config) => config.limits.streamWindow],
  ['limits.session_buffer', (config) => config.limits.sessionBuffer],
  ['limits.process_buffer', (config) => config.limits.processBuffer],
  ['limits.streams', (config) => config.limits.streams],
  [
    'admin.metrics_listen',
    (config) => config.admin.metricsListen && formatAddress(config.admin.metricsListen),
  ],
  ['log.format', (config) => config.log.format],
];

function restartKeys(before: Config, after: Config): string[] {
  return RESTART_KEYS.filter(([, value]) => value(before) !== value(after)).map(([key]) => key);
}

function changesOf<T>(
  before: readonly T[],
  after: readonly T[],
  keyOf: (item: T) => string,
): ItemChanges<T> {
  const old = new Map(before.map((item) => [keyOf(item), item]));
  const fresh = new Map(after.map((item) => [keyOf(item), item]));
  const added: T[] = [];
  const changed: { before: T; after: T }[] = [];
  for (const [key, item] of fresh) {
    const former = old.get(key);
    if (former === undefined) added.push(item);
    else if (!equal(former, item)) changed.push({ before: former, after: item });
  }
  const removed = [...old].filter(([key]) => !fresh.has(key)).map(([, item]) => item);
  return { added, removed, changed };
}

function describe<T>(kind: string, changes: ItemChanges<T>, nameOf: (item: T) => string): string[] {
  return [
    ...changes.added.map((item) => `${kind} ${nameOf(item)}: added`),
    ...changes.changed.map(({ before, after }) => {
      return `${kind} ${nameOf(after)}: changed ${changedFields(before, after).join(', ')}`;
    }),
    ...changes.removed.map((item) => `${kind} ${nameOf(item)}: removed`),
  ];
}

/** Field of the config type to key of the file, where they are not spelt alike. */
const FILE_KEYS: Readonly<Record<string, string>> = {
  proxyProtocol: 'proxy_protocol',
  connectTimeoutMs: 'connect_timeout',
  keepaliveMs: 'keepalive',
  socket: 'socket_owner, socket_group or socket_mode',
};

function changedFields(before: unknown, after: unknown): string[] {
  const [old, fresh] = [before, after] as Record<string, unknown>[];
  return Object.keys(fresh!)
    .filter((field) => !equal(old![field], fresh![field]))
    .map((field) => FILE_KEYS[field] ?? field);
}

// Config values are plain data written by one function, so their JSON is canonical.
function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function serviceKey(service: ServiceConfig): string {
  return service.name;
}

function forwardKey(forward: ForwardConfig): string {
  return formatAddress(forward.listen);
}

function peerKey(peer: PeerConfig): string {
  return `${peerName(peer)} ${peer.via ?? ''}`;
}

// Without `via`, which may hold a password.
function peerName(peer: PeerConfig): string {
  return peer.addresses.map(formatAddress).join(', ');
}
