import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DialOptions, dialLane } from '../../../packages/link/src/transport/dial.ts';
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
  withinMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited ${withinMs} ms in vain: ${what}`);
    await sleep(2);
  }
}

/** What keeps the lanes that come to it, and why others were refused. */
interface Accepting {
  readonly lanes: readonly Lane[];
  readonly refusals: readonly unknown[];
  close(): Promise<void>;
}

export interface TestListener extends Accepting {
  readonly listener: LaneListener;
  readonly lanes: Lane[];
  readonly refusals: ConnectionRefusal[];
  readonly errors: RoutyError[];
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

/** Pairs what was dialled with the one lane that comes to a listener, which the pair closes with it. */
export async function pairWith(dialled: Lane, listener: Accepting): Promise<LanePair> {
  const { lanes, refusals } = listener;
  await until('the accepted end', () => lanes.length + refusals.length > 0);
  const [accepted] = lanes;
  if (accepted === undefined) throw new Error('the lane was refused', { cause: refusals[0] });
  return {
    dialled,
    accepted,
    close: async () => {
      dialled.destroy();
      accepted.destroy();
      await listener.close();
    },
  };
}

/** One way to make the lanes of TLS; what every one of them can do. */
export interface LaneMaker {
  dial(options: Omit<DialOptions, 'via'>): Promise<Lane>;
  listen(options: ListenOptions): Promise<LaneListener>;
}

export const portableLanes: LaneMaker = {
  dial: (options) => dialLane(options),
  listen: (options) => listenLanes(options),
};

/** Both ends of a TLS lane over the loopback, each made its own way. */
export async function tlsLanePair(
  dialler: LaneMaker = portableLanes,
  listener: LaneMaker = portableLanes,
): Promise<LanePair> {
  const ca = await testCa();
  const red = await testCredentials(ca, { site: 'red' });
  const gray = await testCredentials(ca, { site: 'gray' });
  const server = await testListener(gray, {}, listener.listen);
  const dialled = await dialler.dial({ address: server.listener.address, credentials: red });
  return pairWith(dialled, server);
}

/** The `host:port` of a node:net server that was just told to listen. */
export async function listeningPort(server: import('node:net').Server): Promise<number> {
  if (!server.listening) await once(server, 'listening');
  return (server.address() as { port: number }).port;
}
