import { connect as netConnect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { errorText, formatHostPort, type RoutyError } from '@routy/proto/base';
import { connectFailure } from '../failures.ts';
import { LinkError } from '../link-error.ts';
import { type AttemptOutcome, NEXT_CANDIDATE_MS, Race } from '../race.ts';

/**
 * Before an address that has not answered is tried again beside the first attempt, in ms. The
 * kernel repeats a lost SYN after 1, 3, 7 seconds: a path that comes back would stay unused for as
 * long as it was gone.
 */
const SAME_ADDRESS_MS = 700;

/** Probes an idle connection after this long, so that a peer without power is noticed, in ms. */
export const KEEP_ALIVE_MS = 15_000;

/** For so long the address that answered first is tried first, in ms. */
const REMEMBERED_MS = 60_000;

/** Addresses that are remembered. */
const WINNERS_MAX = 256;

/** Where a TCP connection is to lead. */
export interface ConnectOptions {
  /** IP addresses of one host. */
  readonly addresses: readonly string[];
  /** The same at every address. */
  readonly port: number;
  /** For messages: what the user calls it. */
  readonly label: string;
  /**
   * `lane`: an address is asked again while it has not answered. `target`: each address is asked
   * once, since a database may notice each connection, and its end may be half-closed.
   */
  readonly use: 'lane' | 'target';
  /** Where it comes from; the system's choice when left out. Of the family of every address. */
  readonly localAddress?: string | undefined;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** One kind of sockets, by which {@link connectFirst} makes its attempts. */
export interface Connecting<S> {
  /** Begins one attempt, which answers later and once; the result stops it. */
  start(options: ConnectOptions, address: string, outcome: AttemptOutcome<S>): () => void;
  /** Closes what came too late to win. */
  discard(socket: S): void;
}

/** As {@link connectFirst}, a socket of Node. */
export function connectAny(options: ConnectOptions): Promise<Socket> {
  return connectFirst(options, NODE_SOCKETS);
}

/**
 * A TCP connection to the first address that answers. `autoSelectFamily` of node:net drops each
 * attempt when it starts the next, which never reaches a distant host with two addresses; here
 * earlier attempts stay in the race.
 *
 * @throws RoutyError `dial-refused`, `dial-timeout`, `dial-unreachable`, `dial-exhausted`,
 *   `dial-failed`, or what `signal` fired with
 */
export function connectFirst<S>(options: ConnectOptions, connecting: Connecting<S>): Promise<S> {
  const { addresses, port, label, use, signal } = options;
  const race = {
    candidates: bestFirst(addresses, port),
    start: (address: string, outcome: AttemptOutcome<S>) =>
      connecting.start(options, address, outcome),
    discard: (socket: S) => connecting.discard(socket),
    combine: (failures: readonly unknown[]) => combined(label, failures),
    delayMs: NEXT_CANDIDATE_MS,
    againMs: use === 'lane' ? SAME_ADDRESS_MS : undefined,
    signal,
  };
  return new Promise((resolve, reject) => {
    const win = (socket: S, address: string) => {
      if (addresses.length > 1) remember(address, port);
      resolve(socket);
    };
    new Race<string, S>(race, win, reject).run();
  });
}

/** `address port` of those that answered first, the latest last, and when that was. */
const winners = new Map<string, number>();

function remember(address: string, port: number): void {
  const key = `${address} ${port}`;
  winners.delete(key);
  winners.set(key, performance.now());
  if (winners.size <= WINNERS_MAX) return;
  const [oldest] = winners.keys();
  winners.delete(oldest!);
}

/**
 * The one that answered lately comes first: a silent one before it costs every connection a wait.
 * After a minute the order of the name is tried again.
 */
function bestFirst(addresses: readonly string[], port: number): string[] {
  if (addresses.length < 2) return [...addresses];
  const since = performance.now() - REMEMBERED_MS;
  const rank = (address: string) => Math.max(winners.get(`${address} ${port}`) ?? 0, since);
  return [...addresses].sort((a, b) => rank(b) - rank(a));
}

const NODE_SOCKETS: Connecting<Socket> = {
  start({ port, use, localAddress }, address, { won, failed }) {
    const from = localAddress === undefined ? {} : { localAddress };
    const base = { host: address, port, autoSelectFamily: false, noDelay: true, ...from };
    const socket = netConnect(
      use === 'target'
        ? { ...base, allowHalfOpen: true }
        : { ...base, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    );
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      won(socket);
    });
    return () => socket.destroy();
  },
  discard: (socket) => socket.destroy(),
};

/** One error for all addresses; its code is that of the first. */
function combined(label: string, errors: readonly unknown[]): RoutyError {
  const first = connectFailure(label, errors[0]);
  if (errors.length === 1) return first;
  const text = `cannot connect to ${label}: ${errors.map(errorText).join('; ')}`;
  return new LinkError(first.code, text, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    cause: errors[0],
  });
}

/** `host:port`, and the address behind a name where there is just one. */
export function describeTarget(host: string, port: number, addresses: readonly string[]): string {
  const label = formatHostPort(host, port);
  return addresses.length === 1 && addresses[0] !== host ? `${label} (${addresses[0]})` : label;
}
