import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import type {
  Lane,
  LaneHandlers,
  TlsCredentials,
} from '../../../packages/link/src/transport/lane.ts';
import {
  type LaneListener,
  type ListenOptions,
  listenLanes,
} from '../../../packages/link/src/transport/listen.ts';
import type { ConnectionRefusal } from '../../../packages/link/src/transport/tcp/connection-acceptor.ts';
import type { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { testCa, testCredentials } from '../certificates.ts';

export const LOOPBACK = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

/** Remembers what a lane reported, in order, and lets a test wait for it. */
export class LaneRecorder implements LaneHandlers {
  readonly chunks: Uint8Array[] = [];
  readonly closes: (RoutyError | undefined)[] = [];
  bytes = 0;
  drains = 0;
  /** Whatever came after `onClose`, which has to be the last. */
  late = 0;
  onChunk: ((chunk: Uint8Array) => void) | undefined;

  onData(chunk: Uint8Array): void {
    if (this.closes.length > 0) this.late += 1;
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    this.onChunk?.(chunk);
  }

  onDrain(): void {
    if (this.closes.length > 0) this.late += 1;
    this.drains += 1;
  }

  onClose(error: RoutyError | undefined): void {
    this.closes.push(error);
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Waits until `condition` holds; rejects with `what` when it does not within `withinMs`. */
export async function until(
  what: string,
  condition: () => boolean,
  withinMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await sleep(2);
  }
}

export interface TestListener {
  readonly listener: LaneListener;
  readonly lanes: Lane[];
  readonly refusals: ConnectionRefusal[];
  readonly errors: RoutyError[];
  close(): Promise<void>;
}

/** A listener on a free port of the loopback that keeps what it was told. */
export async function testListener(
  credentials: TlsCredentials,
  options: Partial<ListenOptions> = {},
  listen: (options: ListenOptions) => Promise<LaneListener> = listenLanes,
): Promise<TestListener> {
  const lanes: Lane[] = [];
  const refusals: ConnectionRefusal[] = [];
  const errors: RoutyError[] = [];
  const listener = await listen({
    address: LOOPBACK,
    credentials: () => credentials,
    ...options,
    handlers: {
      onLane: (lane) => lanes.push(lane),
      onRefused: (refusal) => refusals.push(refusal),
      onEnrol: (socket) => socket.destroy(),
      onError: (error) => errors.push(error),
      ...options.handlers,
    },
  });
  return {
    listener,
    lanes,
    refusals,
    errors,
    close: async () => {
      for (const lane of lanes) lane.destroy();
      await listener.close();
    },
  };
}

export interface LanePair {
  readonly dialled: Lane;
  readonly accepted: Lane;
  close(): Promise<void>;
}

/** Both ends of a TLS lane over the loopback. */
export async function tlsLanePair(): Promise<LanePair> {
  const ca = await testCa();
  const red = await testCredentials(ca, { site: 'red' });
  const gray = await testCredentials(ca, { site: 'gray' });
  const server = await testListener(gray);
  const dialled = await dialLane({ address: server.listener.address, credentials: red });
  await until('the accepted end', () => server.lanes.length === 1);
  return {
    dialled,
    accepted: server.lanes[0]!,
    close: async () => {
      dialled.destroy();
      await server.close();
    },
  };
}

/** The `host:port` of a node:net server that was just told to listen. */
export async function listeningPort(server: import('node:net').Server): Promise<number> {
  if (!server.listening) await once(server, 'listening');
  return (server.address() as { port: number }).port;
}
