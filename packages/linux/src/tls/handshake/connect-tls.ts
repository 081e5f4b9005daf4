import { connect } from 'node:tls';
import { ALPN_LANE, secureContext, type TlsCredentials } from '@routy/link/transport';
import { Handshake } from './handshake.ts';
import { RecordFeed } from './record-feed.ts';

export interface ConnectTlsOptions {
  readonly credentials: TlsCredentials;
  /** The name that was dialled; undefined for an address. */
  readonly servername?: string | undefined;
  /** Sends bytes to the peer, in order. They are the receiver's to keep. */
  send(bytes: Uint8Array): void;
  readonly signal: AbortSignal;
}

/**
 * Begins a handshake as its client, with the profile and the checks of every lane.
 *
 * @throws RoutyError `credentials-invalid`
 */
export function connectTls(options: ConnectTlsOptions): Handshake {
  const { credentials, servername, signal } = options;
  const context = secureContext(credentials);
  const feed = new RecordFeed((bytes) => options.send(bytes));
  const { fabric } = credentials.identity;
  const handshake = new Handshake({ feed, isClient: true, fabric, signal });
  const socket = connect({
    socket: feed,
    secureContext: context,
    ALPNProtocols: [ALPN_LANE],
    ...(servername === undefined ? {} : { servername }),
    // The peer is judged by `judgePeer`: that gives the exact reason, and compares the fabric's identity in
    // place of the host name.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  socket.on('keylog', handshake.handleKeyLine);
  socket.once('secureConnect', () => handshake.handleSecure());
  handshake.attach(socket);
  return handshake;
}
