import { connect, type Socket } from 'node:net';
import { formatAddress, type Identity, RoutyError, type UnixAddress } from '@routy/proto/base';
import { abortReason, onAbort, step } from '../deadline.ts';
import { dialTcp } from '../dial.ts';
import { unixConnectFailure } from '../failures.ts';
import type { Lane } from '../lane.ts';
import { invalidAddress, LinkError } from '../link-error.ts';
import { endpoint, SocketLane } from '../socket-lane.ts';
import { ListeningSocket } from '../tcp/listening-socket.ts';
import { tcpAddress } from '../tls/tls-transport.ts';
import type {
  Transport,
  TransportAddress,
  TransportHandlers,
  TransportListener,
} from '../transport.ts';
import { plainHandshake } from './plain-handshake.ts';
import { UnixListener } from './unix-listener.ts';
import { unixPathFault } from './unix-path.ts';

/** From connected to knowing who the other end says it is, in ms. */
const HANDSHAKE_MS = 10_000;

/** Connections that have not said who they are; the oldest gives way. */
const HALF_OPEN_MAX = 256;

/**
 * TCP or a unix socket without TLS: nothing is encrypted and nobody proves who it is. Whoever can
 * connect can be any node of the fabric, and whoever is on the path reads and changes everything. For
 * a unix socket its mode, 0600, decides who can connect.
 */
export function plainTransport(kind: 'tcp' | 'unix', self: Identity): Transport {
  return {
    isProven: false,
    checkAddress: (address) =>
      void (kind === 'tcp' ? tcpAddress('tcp', address) : unixAddress(address)),
    dial: (address, signal) => dialPlain(kind, address, self, signal),
    listen: (address, handlers) => new PlainListener(kind, self, handlers).open(address),
  };
}

async function dialPlain(
  kind: 'tcp' | 'unix',
  address: TransportAddress,
  self: Identity,
  signal: AbortSignal,
): Promise<Lane> {
  const label = typeof address === 'string' ? address : formatAddress(address);
  const socket =
    kind === 'tcp'
      ? await dialTcp({ address: tcpAddress('tcp', address), signal })
      : await connectUnix(unixAddress(address), signal);
  try {
    return await laneOver(socket, self, 'dialled', label, signal);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function connectUnix(address: UnixAddress, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: address.path });
    const settle = () => {
      signal.removeEventListener('abort', stop);
      socket.off('error', failed);
    };
    const stop = () => {
      settle();
      socket.destroy();
      reject(abortReason(signal));
    };
    const failed = (error: Error) => {
      settle();
      reject(unixConnectFailure(address.path, error));
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      settle();
      resolve(socket);
    });
    onAbort(signal, stop);
    if (signal.aborted) stop();
  });
}

async function laneOver(
  socket: Socket,
  self: Identity,
  direction: Lane['direction'],
  label: string,
  signal: AbortSignal,
): Promise<Lane> {
  // Stays until the lane has its own: an error must not be nobody's.
  const ignore = () => undefined;
  socket.on('error', ignore);
  const onTimeout = () =>
    new LinkError('dial-timeout', `${label} did not say who it is within ${HANDSHAKE_MS} ms`);
  const { peer, exporter, nonce } = await step({ ms: HANDSHAKE_MS, signal, onTimeout }, (own) =>
    plainHandshake(socket, self, direction, own),
  );
  const isTcp = socket.remoteAddress !== undefined;
  const [dialler, listener] = isTcp ? ['', ''] : [`${label}#${nonce.slice(0, 8)}`, label];
  const [remote, local] = direction === 'dialled' ? [listener, dialler] : [dialler, listener];
  const lane = new SocketLane(socket, {
    peer,
    direction,
    remoteAddress: isTcp ? endpoint(socket.remoteAddress, socket.remotePort) : remote!,
    localAddress: isTcp ? endpoint(socket.localAddress, socket.localPort) : local!,
    security: isTcp ? 'none (tcp)' : 'none (unix)',
    exporter,
    heardPeer: true,
  });
  socket.off('error', ignore);
  return lane;
}

/** Takes plain connections as far as who they say they are. */
class PlainListener {
  readonly #kind: 'tcp' | 'unix';
  readonly #self: Identity;
  readonly #handlers: TransportHandlers;
  readonly #halfOpen = new Set<AbortController>();
  #label = '';

  constructor(kind: 'tcp' | 'unix', self: Identity, handlers: TransportHandlers) {
    this.#kind = kind;
    this.#self = self;
    this.#handlers = handlers;
  }

  async open(address: TransportAddress): Promise<TransportListener> {
    const events = {
      onConnection: (socket: Socket) => void this.#receive(socket),
      onError: (error: RoutyError) => this.#handlers.onError(error),
      onReopened: () => this.#handlers.onReopened(),
    };
    const listening =
      this.#kind === 'tcp'
        ? new ListeningSocket({ address: tcpAddress('tcp', address), ...events })
        : new UnixListener({ address: unixAddress(address), ...events });
    await listening.open();
    this.#label = formatAddress(listening.address);
    return {
      address: listening.address,
      close: async () => {
        listening.close();
        const reason = new LinkError('dial-aborted', 'the listener was closed');
        for (const controller of this.#halfOpen) controller.abort(reason);
      },
    };
  }

  async #receive(socket: Socket): Promise<void> {
    const controller = new AbortController();
    this.#halfOpen.add(controller);
    if (this.#halfOpen.size > HALF_OPEN_MAX) {
      const [oldest] = this.#halfOpen;
      oldest!.abort(new LinkError('dial-refused', 'too many connections wait for a handshake'));
    }
    const from =
      socket.remoteAddress === undefined
        ? this.#label
        : endpoint(socket.remoteAddress, socket.remotePort);
    try {
      const lane = await laneOver(socket, this.#self, 'accepted', this.#label, controller.signal);
      this.#handlers.onLane(lane);
    } catch (error) {
      // With time for the last word to be read.
      socket.end();
      socket.resume();
      setTimeout(() => socket.destroy(), 1000).unref();
      if (!(error instanceof RoutyError)) throw error;
      const { code, message } = error;
      this.#handlers.onRefused({ remoteAddress: from, code, reason: message });
    } finally {
      this.#halfOpen.delete(controller);
    }
  }
}

/** @throws LinkError `address-invalid` */
function unixAddress(address: TransportAddress): UnixAddress {
  const wanted = "{ kind: 'unix', path: '/run/app/link' }";
  if (typeof address !== 'object' || address?.kind !== 'unix')
    throw invalidAddress('unix', address, wanted);
  const fault = unixPathFault(address.path);
  if (fault !== undefined)
    throw new LinkError('address-invalid', `unix socket: ${fault}`, {
      hint: `write it as ${wanted}`,
    });
  return address;
}
