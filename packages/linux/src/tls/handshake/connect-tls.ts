import { connect, type SecureContext } from 'node:tls';
import {
  ALPN_LANE,
  dialFailure,
  dialledFault,
  type HandshakeFailure,
  secureContext,
  type TlsCredentials,
} from '@routy/link/transport';
import { type Established, Handshake } from './handshake.ts';
import type { RawConnection } from './raw-connection.ts';

/** How long a peer that was not verified may take to hang up, in ms. */
const FAREWELL_MS = 1000;

export interface ConnectTlsOptions {
  /** Connected, and paused; closed when the handshake fails. */
  readonly raw: RawConnection;
  readonly credentials: TlsCredentials;
  /** The name that was dialled; undefined for an address. */
  readonly servername?: string | undefined;
  /** `host:port` that was dialled, for errors. */
  readonly label: string;
  /** Has the deadline. */
  readonly signal: AbortSignal;
}

/**
 * Makes a handshake as its client, with the profile and the checks of every lane. The connection is paused
 * then, and the caller's.
 *
 * @throws LinkError `tls-…`, `peer-not-verified`, `credentials-invalid`; or what `signal` fired with
 */
export async function connectTls(options: ConnectTlsOptions): Promise<Established> {
  const { raw, signal } = options;
  const context = contextFor(options);
  return new Promise((resolve, reject) => {
    const stop = () => {
      handshake.cancel();
      raw.destroy();
      reject(signal.reason);
    };
    const handshake = begin(options, context, {
      onEstablished: (established) => {
        signal.removeEventListener('abort', stop);
        resolve(established);
      },
      onFailed: (failure) => {
        signal.removeEventListener('abort', stop);
        if (failure.code === 'peer-not-verified') farewell(raw);
        else raw.destroy();
        reject(dialFailure(options.label, failure));
      },
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    else raw.resume();
  });
}

function contextFor({ raw, credentials }: ConnectTlsOptions): SecureContext {
  try {
    return secureContext(credentials);
  } catch (error) {
    raw.destroy();
    throw error;
  }
}

function begin(
  { raw, credentials, servername }: ConnectTlsOptions,
  context: SecureContext,
  outcome: {
    onEstablished(established: Established): void;
    onFailed(failure: HandshakeFailure): void;
  },
): Handshake {
  const { fabric } = credentials.identity;
  const protocols = [ALPN_LANE];
  const handshake = new Handshake({ raw, isClient: true, protocols, fabric, ...outcome });
  raw.bind({
    onBytes: (bytes) => handshake.receive(bytes),
    onEnd: () => handshake.receiveEnd(),
    onClose: () => handshake.receiveClose(),
  });
  const socket = connect({
    socket: handshake.feed,
    secureContext: context,
    ALPNProtocols: protocols,
    ...(servername === undefined ? {} : { servername }),
    // The peer is judged by `judgePeer`: that gives the exact reason, and compares the fabric's identity in
    // place of the host name.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  socket.on('keylog', handshake.handleKeyLine);
  socket.on('error', (error) => void handshake.handleFailure(dialledFault(error)));
  socket.once('secureConnect', () => handshake.handleSecure());
  handshake.attach(socket);
  return handshake;
}

/** Our certificate is on its way: with time to be heard, so that the other end's log can say why, too. */
function farewell(raw: RawConnection): void {
  const timer = setTimeout(() => raw.destroy(), FAREWELL_MS);
  timer.unref();
  raw.bind({ onBytes: () => {}, onEnd: () => {}, onClose: () => clearTimeout(timer) });
  raw.resume();
  raw.end();
}
