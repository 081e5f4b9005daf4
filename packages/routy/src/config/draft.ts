import type * as z from 'zod';
import { valueAt } from './explain.ts';
import {
  adminSchema,
  fabricSchema,
  forwardSchema,
  limitsSchema,
  listenSchema,
  logSchema,
  nodeSchema,
  peerSchema,
  serviceSchema,
} from './schema/schema.ts';
import type { KeyPath } from './toml/document.ts';
import type { Config, ForwardConfig, PeerConfig, ServiceConfig } from './types.ts';

/** A part of the file that is valid by itself, and where it stands. */
export interface Part<T> {
  readonly path: KeyPath;
  readonly value: T;
}

/**
 * As much of a `Config` as the file's valid parts give, so that a mistake in one table does not
 * hide those in others. A part that is wrong is undefined or left out.
 */
export interface Draft {
  readonly node: Config['node'] | undefined;
  readonly listen: Config['listen'];
  readonly peers: readonly Part<PeerConfig>[];
  readonly services: readonly Part<ServiceConfig>[];
  readonly forwards: readonly Part<ForwardConfig>[];
  readonly fabric: Config['fabric'] | undefined;
  readonly limits: Config['limits'] | undefined;
  readonly admin: Config['admin'] | undefined;
  readonly log: Config['log'] | undefined;
}

/** Reads every valid part of a parsed file. */
export function draftOf(root: unknown): Draft {
  const node = read(nodeSchema, valueAt(root, ['node']));
  const listen = read(listenSchema, valueAt(root, ['listen']));
  const fabric = read(fabricSchema, valueAt(root, ['fabric']) ?? {});
  const limits = read(limitsSchema, valueAt(root, ['limits']) ?? {});
  const admin = read(adminSchema, valueAt(root, ['admin']) ?? {});
  return {
    node: node && {
      name: node.name,
      site: node.site,
      state: node.state,
      drainMs: node.drain_timeout,
      dataPlane: node.data_plane,
    },
    listen: listen && { address: listen.address, advertise: listen.advertise },
    peers: parts(valueAt(root, ['peer']), 'peer', peerOf),
    services: parts(valueAt(root, ['service']), 'service', serviceOf),
    forwards: parts(valueAt(root, ['forward']), 'forward', forwardOf),
    fabric: fabric && {
      heartbeatIntervalMs: fabric.heartbeat_interval,
      heartbeatMisses: fabric.heartbeat_misses,
      resumeTimeMs: fabric.resume_time,
    },
    limits: limits && {
      streamWindow: limits.stream_window,
      sessionBuffer: limits.session_buffer,
      processBuffer: limits.process_buffer,
      streams: limits.streams,
    },
    admin: admin && { metricsListen: admin.metrics_listen },
    log: read(logSchema, valueAt(root, ['log']) ?? {}),
  };
}

/** The whole config of a file without errors; undefined while any part is missing. */
export function completeConfig(draft: Draft): Config | undefined {
  const { node, fabric, limits, admin, log } = draft;
  if (!node || !fabric || !limits || !admin || !log) return undefined;
  return {
    node,
    listen: draft.listen,
    peers: draft.peers.map((part) => part.value),
    services: new Map(draft.services.map((part) => [part.value.name, part.value])),
    forwards: draft.forwards.map((part) => part.value),
    fabric,
    limits,
    admin,
    log,
  };
}

function peerOf(value: unknown): PeerConfig | undefined {
  const peer = read(peerSchema, value);
  const addresses = peer?.addresses ?? (peer?.address && [peer.address]);
  return peer && addresses && { addresses, via: peer.via, lanes: peer.lanes };
}

function serviceOf(value: unknown, name: string): ServiceConfig | undefined {
  const service = read(serviceSchema, value);
  return (
    service && {
      name,
      target: service.target,
      allow: service.allow,
      proxyProtocol: service.proxy_protocol,
      source: service.source,
      connectTimeoutMs: service.connect_timeout,
      keepaliveMs: service.keepalive,
    }
  );
}

function forwardOf(value: unknown): ForwardConfig | undefined {
  const forward = read(forwardSchema, value);
  return (
    forward && {
      listen: forward.listen,
      to: forward.to,
      unavailable: forward.unavailable,
      connectTimeoutMs: forward.connect_timeout,
      keepaliveMs: forward.keepalive,
      clients: forward.clients,
      socket: {
        owner: forward.socket_owner,
        group: forward.socket_group,
        mode: forward.socket_mode,
      },
    }
  );
}

/** The valid ones of a table of tables or an array of tables. */
function parts<T>(
  container: unknown,
  table: string,
  readOne: (value: unknown, name: string) => T | undefined,
): Part<T>[] {
  if (typeof container !== 'object' || container === null) return [];
  const found: Part<T>[] = [];
  for (const [key, entry] of Object.entries(container)) {
    const value = readOne(entry, key);
    const last = Array.isArray(container) ? Number(key) : key;
    if (value !== undefined) found.push({ path: [table, last], value });
  }
  return found;
}

function read<S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined {
  return schema.safeParse(value).data;
}
