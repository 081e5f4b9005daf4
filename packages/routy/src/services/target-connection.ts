import { connect, isIP, type Socket } from 'node:net';
import type { StreamCode } from '@routy/link/driver';
import { keepReadable, NodeStreamSocket, type StreamSocket } from '@routy/link/streams';
import {
  type ConnectOptions,
  carryUrgentInline,
  connectAny,
  systemCode,
  names as systemNames,
} from '@routy/link/transport';
import {
  type Address,
  errorText,
  formatAddress,
  RoutyError,
  type TcpAddress,
} from '@routy/proto/base';
import type { ServiceConfig } from '../config/types.ts';

/** What looks up host names. */
export type NameLookup = Pick<typeof systemNames, 'resolve'>;

/** Makes connections of the data plane in use. */
export interface TargetSockets {
  /**
   * To an IP address or a unix socket.
   *
   * @throws the system's error, or what `signal` fired with
   */
  connect(
    to: Address,
    localAddress: string | undefined,
    signal: AbortSignal,
  ): Promise<StreamSocket>;
  /** @throws RoutyError as `connectAny` */
  connectFirst(options: ConnectOptions): Promise<StreamSocket>;
}

/** One of the two is called, once, and neither after {@link TargetConnection.cancel}. */
export interface TargetHandlers {
  /** The socket is the caller's, and not read yet. */
  onConnected(socket: StreamSocket): void;
  onFailed(code: StreamCode, reason: string): void;
}

/**
 * A connection to a service's target on its way: its name is looked up, its addresses are tried,
 * all of that within `connect_timeout`.
 */
export class TargetConnection {
  readonly #config: ServiceConfig;
  readonly #handlers: TargetHandlers;
  readonly #names: NameLookup;
  readonly #sockets: TargetSockets | undefined;
  readonly #timer: NodeJS.Timeout;
  /** Of the one attempt, where there is just one address. */
  #socket: Socket | undefined;
  /** Stops the lookup and the attempts at several addresses. */
  #abort: AbortController | undefined;
  #isLookingUp = false;
  #settled = false;

  /** `names` and `sockets` are those of the system and of Node when left out. */
  constructor(
    config: ServiceConfig,
    handlers: TargetHandlers,
    {
      names = systemNames,
      sockets,
    }: {
      readonly names?: NameLookup | undefined;
      readonly sockets?: TargetSockets | undefined;
    } = {},
  ) {
    this.#config = config;
    this.#handlers = handlers;
    this.#names = names;
    this.#sockets = sockets;
    this.#timer = setTimeout(() => this.#timeOut(), config.connectTimeoutMs);
    const { target } = config;
    if (target.kind === 'tcp' && isIP(target.host) === 0) void this.#connectByName(target);
    else if (sockets === undefined) this.#follow(nodeSocket(target, config.source));
    else void this.#connectBy(sockets, target);
  }

  /** The one who asked has gone: nothing is told any more. */
  cancel(): void {
    if (!this.#settle()) return;
    this.#socket?.destroy();
    this.#abort?.abort();
  }

  /** Ends it from this side, as a reload does. */
  stop(): void {
    this.#fail('cancelled', 'closed here while connecting');
  }

  #follow(socket: Socket): void {
    this.#socket = socket;
    const onError = (error: NodeJS.ErrnoException): void => {
      this.#fail(codeOf(error.code), `${this.#label}: ${error.code ?? error.message}`);
    };
    // Without an error there is only the close.
    const onClose = () => this.stop();
    socket.on('error', onError).on('close', onClose);
    socket.once('connect', () => {
      if (!this.#settle()) return;
      socket.off('error', onError).off('close', onClose);
      this.#handlers.onConnected(targetSocket(socket));
    });
  }

  async #connectBy(sockets: TargetSockets, to: Address): Promise<void> {
    this.#abort = new AbortController();
    try {
      this.#connected(await sockets.connect(to, this.#config.source, this.#abort.signal));
    } catch (error) {
      const code = systemCode(error);
      this.#fail(codeOf(code), `${this.#label}: ${code || errorText(error)}`);
    }
  }

  #connected(socket: StreamSocket): void {
    if (this.#settle()) this.#handlers.onConnected(socket);
    else socket.destroy();
  }

  async #connectByName({ host, port }: TcpAddress): Promise<void> {
    const abort = new AbortController();
    const { signal } = abort;
    this.#abort = abort;
    const label = this.#label;
    try {
      this.#isLookingUp = true;
      const addresses = this.#reachable(await this.#names.resolve(host, signal));
      this.#isLookingUp = false;
      const localAddress = this.#config.source;
      const use = 'target';
      const options = { addresses, port, label, use, localAddress, signal } as const;
      this.#connected(
        this.#sockets === undefined
          ? targetSocket(await connectAny(options))
          : await this.#sockets.connectFirst(options),
      );
    } catch (error) {
      const known = error instanceof RoutyError ? error : undefined;
      this.#fail(codeOf(known?.code, known?.cause), known?.message ?? String(error));
    }
  }

  /** From `source` only its own family can be reached. */
  #reachable(addresses: readonly string[]): readonly string[] {
    const { source } = this.#config;
    if (source === undefined) return addresses;
    const reachable = addresses.filter((address) => isIP(address) === isIP(source));
    if (reachable.length > 0) return reachable;
    throw new RoutyError('dial-unreachable', `${this.#label}: the name has no such address`);
  }

  #timeOut(): void {
    const ms = this.#config.connectTimeoutMs;
    if (this.#isLookingUp) {
      const { host } = this.#config.target as TcpAddress;
      this.#fail('name-timeout', `the name server did not answer for ${host} within ${ms} ms`);
    } else {
      this.#fail('target-timeout', `no answer from ${this.#label} in ${ms} ms`);
    }
  }

  #fail(code: StreamCode, reason: string): void {
    if (!this.#settle()) return;
    this.#socket?.destroy();
    this.#abort?.abort();
    this.#handlers.onFailed(code, reason);
  }

  /** Error, close, timeout, cancel and connect race: the first one decides. */
  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    clearTimeout(this.#timer);
    return true;
  }

  get #label(): string {
    const { target, source } = this.#config;
    return `target ${formatAddress(target)}${source === undefined ? '' : ` from ${source}`}`;
  }
}

/** On its way to the one address there is. */
function nodeSocket(to: Address, source: string | undefined): Socket {
  if (to.kind === 'unix') return connect({ path: to.path, allowHalfOpen: true });
  const { host, port } = to;
  const from = source === undefined ? {} : { localAddress: source };
  return connect({ host, port, allowHalfOpen: true, noDelay: true, ...from });
}

function targetSocket(socket: Socket): StreamSocket {
  // From the first write on: a header may meet a target that has answered and closed.
  keepReadable(socket);
  carryUrgentInline(socket);
  return new NodeStreamSocket(socket);
}

function codeOf(code: string | undefined, cause?: unknown): StreamCode {
  switch (code) {
    case 'ECONNREFUSED':
    case 'dial-refused':
      return 'target-refused';
    case 'EMFILE':
    case 'ENFILE':
    case 'dial-exhausted':
      return 'overload';
    case 'ETIMEDOUT':
    case 'dial-timeout':
      return 'target-timeout';
    case 'dial-resolve':
      return systemCode(cause) === 'ENOTFOUND' ? 'name-unknown' : 'name-timeout';
    default:
      return 'target-unreachable';
  }
}
