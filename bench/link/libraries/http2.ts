import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { FrameCutter, framed } from '../frames.ts';
import type { Library, LinkClient, MessageSink } from '../library.ts';
import { decodeReceived, ReceivedCount } from '../received.ts';
import { clientTls, expectProfile, serverTls } from './tls.ts';

/** Node's default of 64 KiB holds bulk up; whoever sends much sets more, for streams and the connection. */
const WINDOW_BYTES = 1024 * 1024;
const SETTINGS = { initialWindowSize: WINDOW_BYTES } as const;

/** A request for each call and each stream; messages are bodies with lengths in them. */
export const http2: Library = {
  async serve(credentials) {
    const server = createSecureServer({ ...serverTls(credentials), settings: SETTINGS });
    server.on('session', (session: Http2Session) => widen(session));
    server.on('stream', (stream, { ':path': path }) => answer(stream, path ?? ''));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  async connect(credentials, port) {
    const options = { ...clientTls(credentials), settings: SETTINGS };
    const session = connect(`https://127.0.0.1:${port}`, options);
    await once(session, 'connect');
    expectProfile(session.socket as TLSSocket);
    widen(session);
    return new Http2Client(session);
  },
};

function widen(session: Http2Session): void {
  session.setLocalWindowSize(WINDOW_BYTES);
}

function answer(stream: ServerHttp2Stream, path: string): void {
  // A client that is stopped cuts its streams; that is no event for the server.
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200 });
  if (path === '/messages') countMessages(stream);
  else if (path === '/request') answerWhole(stream);
  else stream.pipe(stream);
}

function countMessages(stream: ServerHttp2Stream): void {
  const received = new ReceivedCount();
  const cutter = new FrameCutter((message) => received.add(message));
  stream.on('data', (chunk: Buffer) => cutter.push(chunk));
  stream.once('end', () => stream.end(received.encode()));
}

function answerWhole(stream: ServerHttp2Stream): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.once('end', () => stream.end(Buffer.concat(chunks)));
}

class Http2Client implements LinkClient {
  readonly #session: ClientHttp2Session;

  constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  async openMessages(): Promise<MessageSink> {
    const stream = this.#session.request({ ':method': 'POST', ':path': '/messages' });
    return {
      send: (message) => {
        const pieces = framed(message);
        if (pieces.length > 1) stream.cork();
        let goesOn = true;
        for (const piece of pieces) goesOn = stream.write(piece);
        if (pieces.length > 1) stream.uncork();
        return goesOn ? undefined : drained(stream);
      },
      finish: async () => {
        stream.end();
        return decodeReceived(await whole(stream));
      },
    };
  }

  request(body: Uint8Array): Promise<Uint8Array> {
    const stream = this.#session.request({ ':method': 'POST', ':path': '/request' });
    stream.end(body);
    return whole(stream);
  }

  async openStream(message: Uint8Array): Promise<void> {
    const stream = this.#session.request({ ':method': 'POST', ':path': '/echo' });
    const closed = once(stream, 'close');
    stream.write(message);
    await once(stream, 'data');
    stream.end();
    stream.resume();
    await closed;
  }
}

function drained(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    stream.once('drain', resolve);
  });
}

function whole(stream: Duplex): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    stream.once('error', reject);
  });
}
