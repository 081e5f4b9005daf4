import { lookup } from 'node:dns/promises';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import { formatHostPort } from '../base/address.ts';
import { errorText, RoutyError } from '../base/errors.ts';
import { abortReason, unlessAborted } from './deadline.ts';
import { connectFailure, resolveFailure } from './failures.ts';

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

const lookups = new Map<string, Promise<string[]>>();

/**
 * The IP addresses of a host, families alternating (RFC 8305 §4); a literal is itself.
 *
 * @throws RoutyError `dial-resolve`, `dial-exhausted`, or what `signal` fired with
 */
export function resolveHost(host: string, signal: AbortSignal): Promise<string[]> {
  if (isIP(host) !== 0) return Promise.resolve([host]);
  // getaddrinfo cannot be stopped and holds one of four threads that files need as well: a name
  // server that does not answer must not gather several.
  let pending = lookups.get(host);
  if (pending === undefined) {
    pending = lookupAll(host).finally(() => lookups.delete(host));
    lookups.set(host, pending);
  }
  return unlessAborted(pending, signal);
}

async function lookupAll(host: string): Promise<string[]> {
  try {
    const found = await lookup(host, { all: true, verbatim: true });
    const first = found.filter((entry) => entry.family === found[0]!.family);
    const other = found.filter((entry) => entry.family !== found[0]!.family);
    const mixed = first.flatMap((entry, index) => [entry, ...other.slice(index, index + 1)]);
    return [...mixed, ...other.slice(first.length)].map((entry) => entry.address);
  } catch (error) {
    throw resolveFailure(host, error);
  }
}

export interface ConnectOptions {
  /** IP addresses of one host. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** For messages: what the user calls it. */
  readonly label: string;
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
    this.#untried = [...options.addresses];
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
    const address = this.#untried.shift() ?? this.#unanswered();
    if (address !== undefined && this.#attempts.size < ATTEMPTS_MAX) this.#attempt(address);
    const ms = this.#untried.length > 0 ? NEXT_ADDRESS_MS : SAME_ADDRESS_MS;
    this.#timer = setTimeout(() => this.#tryNext(), ms);
  }

  /** The address that has waited longest for an answer. */
  #unanswered(): string | undefined {
    const { addresses } = this.#options;
    const waiting = addresses.filter((address) => !this.#failures.has(address));
    return waiting[this.#attempts.size % Math.max(1, waiting.length)];
  }

  #attempt(address: string): void {
    const socket = netConnect({
      host: address,
      port: this.#options.port,
      autoSelectFamily: false,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#attempts.add(socket);
    const fail = (error: unknown) => this.#handleFailure(socket, address, error);
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
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
    return new RoutyError(first.code, text, {
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
