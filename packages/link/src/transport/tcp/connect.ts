import { connect as netConnect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { errorText, formatHostPort, type RoutyError } from '@routy/proto/base';
import { abortReason } from '../deadline.ts';
import { connectFailure } from '../failures.ts';
import { LinkError } from '../link-error.ts';

/** Before the next of several addresses is tried too (RFC 8305 §5), in ms. */
const NEXT_ADDRESS_MS = 250;

/**
 * Before an address that has not answered is tried again beside the first attempt, in ms. The
 * kernel repeats a lost SYN after 1, 3, 7 seconds: a path that comes back would stay unused for as
 * long as it was gone.
 */
const SAME_ADDRESS_MS = 700;

/** Most attempts at once. */
const ATTEMPTS_MAX = 8;

/** Probes an idle connection after this long, so that a peer without power is noticed, in ms. */
export const KEEP_ALIVE_MS = 15_000;

/** For so long the address that answered first is tried first, in ms. */
const REMEMBERED_MS = 60_000;

/** Addresses that are remembered. */
const WINNERS_MAX = 256;

export interface ConnectOptions {
  /** IP addresses of one host. */
  readonly addresses: readonly string[];
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
  readonly signal: AbortSignal;
}

/**
 * A TCP connection to the first address that answers. `autoSelectFamily` of node:net drops each
 * attempt when it starts the next, which never reaches a distant host with two addresses; here
 * earlier attempts stay in the race.
 *
 * @throws RoutyError `dial-refused`, `dial-timeout`, `dial-unreachable`, `dial-exhausted`,
 *   `dial-failed`, or what `signal` fired with
 */
export function connectAny(options: ConnectOptions): Promise<Socket> {
  return new Promise((resolve, reject) => new ConnectRace(options, resolve, reject).run());
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

class ConnectRace {
  readonly #options: ConnectOptions;
  readonly #resolve: (socket: Socket) => void;
  readonly #reject: (error: RoutyError) => void;
  readonly #attempts = new Set<Socket>();
  readonly #failures = new Map<string, unknown>();
  readonly #stop = () => this.#lose(abortReason(this.#options.signal));
  /** Addresses not tried yet. */
  readonly #untried: string[];
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(
    options: ConnectOptions,
    resolve: (socket: Socket) => void,
    reject: (error: RoutyError) => void,
  ) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#untried = bestFirst(options.addresses, options.port);
  }

  run(): void {
    const { signal } = this.#options;
    if (signal.aborted) {
      this.#stop();
      return;
    }
    signal.addEventListener('abort', this.#stop, { once: true });
    this.#tryNext();
  }

  /** Starts one more attempt and sets the timer for the one after. */
  #tryNext(): void {
    clearTimeout(this.#timer);
    // With many addresses the first attempts make room: by now they are two seconds old.
    if (this.#untried.length > 0 && this.#attempts.size >= ATTEMPTS_MAX) this.#dropOldest();
    const address = this.#untried.shift() ?? this.#unanswered();
    if (address !== undefined && this.#attempts.size < ATTEMPTS_MAX) this.#attempt(address);
    if (this.#untried.length === 0 && this.#options.use === 'target') return;
    const ms = this.#untried.length > 0 ? NEXT_ADDRESS_MS : SAME_ADDRESS_MS;
    this.#timer = setTimeout(() => this.#tryNext(), ms);
  }

  #dropOldest(): void {
    const [oldest] = this.#attempts;
    this.#attempts.delete(oldest!);
    oldest!.destroy();
  }

  /** The address that has waited longest for an answer. */
  #unanswered(): string | undefined {
    const { addresses } = this.#options;
    const waiting = addresses.filter((address) => !this.#failures.has(address));
    return waiting[this.#attempts.size % Math.max(1, waiting.length)];
  }

  #attempt(address: string): void {
    const { port, use, localAddress } = this.#options;
    const from = localAddress === undefined ? {} : { localAddress };
    const base = { host: address, port, autoSelectFamily: false, noDelay: true, ...from };
    const socket = netConnect(
      use === 'target'
        ? { ...base, allowHalfOpen: true }
        : { ...base, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    );
    this.#attempts.add(socket);
    const fail = (error: unknown) => this.#handleFailure(socket, address, error);
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      if (this.#options.addresses.length > 1 && !this.#over) remember(address, port);
      this.#win(socket);
    });
  }

  #handleFailure(socket: Socket, address: string, error: unknown): void {
    this.#attempts.delete(socket);
    this.#failures.set(address, error);
    if (this.#over) return;
    if (this.#untried.length > 0) this.#tryNext();
    else if (this.#attempts.size === 0) this.#lose(this.#combined());
  }

  /** One error for all addresses; its code is that of the first. */
  #combined(): RoutyError {
    const { label } = this.#options;
    const errors = [...this.#failures.values()];
    const first = connectFailure(label, errors[0]);
    if (errors.length === 1) return first;
    const text = `cannot connect to ${label}: ${errors.map(errorText).join('; ')}`;
    return new LinkError(first.code, text, {
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      cause: errors[0],
    });
  }

  #win(socket: Socket): void {
    if (this.#over) {
      socket.destroy();
      return;
    }
    this.#attempts.delete(socket);
    this.#finish();
    this.#resolve(socket);
  }

  #lose(error: RoutyError): void {
    if (this.#over) return;
    this.#finish();
    this.#reject(error);
  }

  #finish(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener('abort', this.#stop);
    for (const socket of this.#attempts) socket.destroy();
  }
}

/** `host:port`, and the address behind a name where there is just one. */
export function describeTarget(host: string, port: number, addresses: readonly string[]): string {
  const label = formatHostPort(host, port);
  return addresses.length === 1 && addresses[0] !== host ? `${label} (${addresses[0]})` : label;
}
