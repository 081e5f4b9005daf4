import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodePids } from '../measure.ts';
import type { Running } from '../processes.ts';

/** The ports of 127.0.0.1 where the services listen: the red side's targets. */
export interface Ports {
  readonly bulk: number;
  readonly echo: number;
}

/** A tunnel that is up. Connections to its ports, the gray side, come out at the services. */
export interface Tunnel {
  readonly name: string;
  readonly ports: Ports;
  /** The processes of each node; null when there is none (direct). */
  readonly pids: NodePids | null;
  /** Which of its processes has ended although it should not, with its last words; or null. */
  failure(): string | null;
  /** Ends its processes; those still there are ended by the bench. */
  stop(): Promise<void>;
  /** Bytes sent a second time so far by both nodes; null when the tunnel does not tell. */
  bytesReplayed?(): Promise<number | null>;
}

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/** Stands between the nodes of a tunnel: where to dial instead of an address. */
export type Detour = (address: TcpAddress) => Promise<TcpAddress>;

/** How one peer of the comparison is found and started. */
export interface TunnelKind {
  readonly name: string;
  /** Shown beside the figures, so that unlike is not compared with like. */
  readonly note: string;
  /** Why it cannot be measured here, or null. */
  missing(): string | null;
  /**
   * `dir` is an empty directory of its own that the bench removes. With a detour the connection
   * between the nodes will fail and has to be kept up.
   */
  start(services: Ports, dir: string, detour?: Detour): Promise<Tunnel>;
}

const READY_TIMEOUT_MS = 15_000;
const RETRY_MS = 50;

/**
 * A tunnel of the given processes, once a byte makes the round trip through both its ports.
 * @throws when a process ends or nothing comes back in 15 s.
 */
export async function whenReady(
  name: string,
  ports: Ports,
  pids: () => NodePids,
  processes: readonly Running[],
): Promise<Tunnel> {
  const stop = async () => {
    for (const running of processes) await running.stop();
  };
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!((await answers(ports.echo, 'e')) && (await answers(ports.bulk, 'D')))) {
    const dead = failureOf(processes);
    if (dead !== null || performance.now() > deadline) {
      await stop();
      if (dead !== null) throw new Error(dead);
      const said = processes.map((running) => running.tail()).filter((text) => text !== '');
      throw new Error(['nothing came through in 15 s', ...said].join('\n'));
    }
    await sleep(RETRY_MS);
  }
  return { name, ports, pids: pids(), failure: () => failureOf(processes), stop };
}

function failureOf(processes: readonly Running[]): string | null {
  const dead = processes.find((running) => running.hasExited());
  return dead === undefined ? null : `${dead.name} ended\n${dead.tail()}`;
}

/** Waits until a process accepts connections at `host:port`; throws when it ends or 15 s are over. */
export async function whenListening(address: string, running: Running): Promise<void> {
  const [host, port] = address.split(':') as [string, string];
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await accepts(host, Number(port)))) {
    if (running.hasExited() || performance.now() > deadline) {
      await running.stop();
      throw new Error(`${running.name} does not listen at ${address}\n${running.tail()}`);
    }
    await sleep(RETRY_MS);
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
  });
}

/** Whether a service answers one byte sent to this port. */
function answers(port: number, byte: string): Promise<boolean> {
  return new Promise((resolve) => {
    let answered = false;
    const socket = connect({ port, host: '127.0.0.1', timeout: 2_000 });
    socket.once('connect', () => socket.write(byte));
    socket.once('data', () => {
      answered = true;
      socket.destroy();
    });
    socket.once('timeout', () => socket.destroy());
    socket.once('error', () => socket.destroy());
    socket.once('close', () => resolve(answered));
  });
}
