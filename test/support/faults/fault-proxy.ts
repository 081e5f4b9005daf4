import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { resetSocket } from '../../../packages/link/src/streams/sockets.ts';
import { type DirectionFaults, FaultPipe, NO_FAULTS } from './fault-proxy-pipe.ts';

/** `up` is from the client to the target. */
export type Direction = 'up' | 'down';
export type Directions = Direction | 'both';

/** Where a socket of TCP or a unix socket is. */
type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

export interface FaultProxyOptions {
  readonly target: Endpoint;
  /** Where it listens: a free port of 127.0.0.1 by default. */
  readonly host?: string;
  readonly port?: number;
  /** A unix socket, in place of host and port. */
  readonly path?: string;
}

export interface CutOptions {
  /** Both ends get a reset, or an end of stream and then nothing. */
  readonly how: 'reset' | 'close';
  /** Waits until this many bytes were taken from the two senders together that never arrive … */
  readonly tailBytes?: number;
  /** … but no longer than this; 50 ms by default. */
  readonly tailMs?: number;
}

/** What the proxy has done so far. */
export interface FaultCounters {
  readonly connections: number;
  readonly open: number;
  /** Connections whose target did not answer. */
  readonly unanswered: number;
  readonly acceptedBytes: Readonly<Record<Direction, number>>;
  readonly deliveredBytes: Readonly<Record<Direction, number>>;
  /** Bytes taken from a sender that were lost with their connection. */
  readonly lostBytes: number;
  readonly corruptedBytes: number;
  /** Connections ended by `cut` and `reset`. */
  readonly cutConnections: number;
  readonly halfOpened: number;
}

interface Joint {
  readonly client: Socket;
  readonly target: Socket;
  readonly pipes: Readonly<Record<Direction, FaultPipe>>;
  /** One side was closed on purpose: the other is kept. */
  halfOpen: boolean;
}

const DIRECTIONS = ['up', 'down'] as const;
const TAIL_MS = 50;

/** A TCP proxy that does to its connections what networks do, when it is told to. */
export class FaultProxy {
  readonly host: string;
  readonly port: number;
  readonly #listenAt: Endpoint;
  readonly #target: Endpoint;
  readonly #joints = new Set<Joint>();
  #server: Server;
  #faults: Record<Direction, DirectionFaults> = { up: NO_FAULTS, down: NO_FAULTS };
  /** Of connections that are over. */
  readonly #past = {
    ...{ connections: 0, unanswered: 0, lostBytes: 0, corruptedBytes: 0 },
    ...{ cutConnections: 0, halfOpened: 0 },
    acceptedBytes: { up: 0, down: 0 },
    deliveredBytes: { up: 0, down: 0 },
  };

  readonly #countUnanswered = (): void => {
    this.#past.unanswered += 1;
  };

  private constructor(options: FaultProxyOptions, server: Server) {
    const { path } = options;
    const { address, port } =
      path === undefined ? (server.address() as AddressInfo) : { address: '', port: 0 };
    this.host = address;
    this.port = port;
    this.#listenAt = path === undefined ? { host: address, port } : { path };
    this.#target = options.target;
    this.#server = server;
    server.on('connection', (client) => this.#join(client));
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const { host = '127.0.0.1', port = 0, path } = options;
    const at = path === undefined ? { host, port } : { path };
    return new FaultProxy(options, await listenAt(at));
  }

  /** Changes how bytes are carried, on the connections there are and those to come. */
  setFaults(directions: Directions, changes: Partial<DirectionFaults>): void {
    for (const direction of chosen(directions)) {
      const faults = { ...this.#faults[direction], ...changes };
      this.#faults[direction] = faults;
      for (const { pipes } of this.#joints) pipes[direction].faults = faults;
    }
  }

  /** Ends every connection with the loss of what was taken and not delivered: gives the bytes. */
  async cut(options: CutOptions): Promise<number> {
    const joints = [...this.#joints];
    for (const { pipes } of joints) for (const pipe of Object.values(pipes)) pipe.withhold();
    const endMs = performance.now() + (options.tailMs ?? TAIL_MS);
    const lost = (): number => joints.reduce((sum, joint) => sum + undelivered(joint), 0);
    while (lost() < (options.tailBytes ?? 0) && performance.now() < endMs) await sleep(1);
    for (const joint of joints) this.#end(joint, options.how);
    return lost();
  }

  /** Closes one side of every connection and keeps the other, which then talks to nobody. */
  halfOpen(closed: 'client' | 'target'): void {
    for (const joint of this.#joints) {
      joint.halfOpen = true;
      this.#past.halfOpened += 1;
      for (const pipe of Object.values(joint.pipes)) pipe.swallow();
      resetSocket(joint[closed]);
    }
  }

  /** One bit of the next byte of every connection is turned. */
  corrupt(directions: Directions): void {
    for (const direction of chosen(directions)) {
      for (const { pipes } of this.#joints) pipes[direction].corrupt();
    }
  }

  /** New connections are refused until `accept`; those there are go on. */
  refuse(): void {
    if (this.#server.listening) this.#server.close();
  }

  async accept(): Promise<void> {
    if (this.#server.listening) return;
    this.#server = await listenAt(this.#listenAt);
    this.#server.on('connection', (client) => this.#join(client));
  }

  counters(): FaultCounters {
    const sum = {
      ...this.#past,
      open: this.#joints.size,
      acceptedBytes: { ...this.#past.acceptedBytes },
      deliveredBytes: { ...this.#past.deliveredBytes },
    };
    for (const { pipes } of this.#joints) {
      for (const direction of DIRECTIONS) {
        sum.acceptedBytes[direction] += pipes[direction].accepted;
        sum.deliveredBytes[direction] += pipes[direction].delivered;
        sum.corruptedBytes += pipes[direction].corrupted;
      }
    }
    return sum;
  }

  close(): void {
    for (const { client, target } of this.#joints) {
      client.destroy();
      target.destroy();
    }
    if (this.#server.listening) this.#server.close();
  }

  #join(client: Socket): void {
    const target = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    const pipes = {
      up: new FaultPipe(client, target, this.#faults.up),
      down: new FaultPipe(target, client, this.#faults.down),
    };
    const joint: Joint = { client, target, pipes, halfOpen: false };
    this.#past.connections += 1;
    this.#joints.add(joint);
    target.on('error', this.#countUnanswered);
    target.on('connect', () => target.off('error', this.#countUnanswered));
    for (const [side, other] of [
      [client, target],
      [target, client],
    ] as const) {
      side.on('error', () => {
        if (!joint.halfOpen) resetSocket(other);
      });
      side.on('end', () => {
        if (joint.halfOpen) side.destroy();
      });
      side.on('close', () => {
        if (other.destroyed) this.#forget(joint);
      });
    }
  }

  #end({ client, target }: Joint, how: CutOptions['how']): void {
    if (!client.destroyed || !target.destroyed) this.#past.cutConnections += 1;
    for (const socket of [client, target]) {
      if (how === 'reset') resetSocket(socket);
      else socket.destroySoon();
    }
  }

  #forget(joint: Joint): void {
    if (!this.#joints.delete(joint)) return;
    this.#past.lostBytes += undelivered(joint);
    for (const direction of DIRECTIONS) {
      const pipe = joint.pipes[direction];
      pipe.stop();
      this.#past.acceptedBytes[direction] += pipe.accepted;
      this.#past.deliveredBytes[direction] += pipe.delivered;
      this.#past.corruptedBytes += pipe.corrupted;
    }
  }
}

function undelivered({ pipes }: Joint): number {
  return DIRECTIONS.reduce(
    (sum, direction) => sum + pipes[direction].accepted - pipes[direction].delivered,
    0,
  );
}

function chosen(directions: Directions): readonly Direction[] {
  return directions === 'both' ? DIRECTIONS : [directions];
}

async function listenAt(endpoint: Endpoint): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  server.listen({ ...endpoint, backlog: 4096 });
  await once(server, 'listening');
  return server;
}
