import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { yamux as yamuxFactory } from '@chainsafe/libp2p-yamux';
import type { Stream, StreamMuxer } from '@libp2p/interface';
import { answerOf, Calls } from '../calls.ts';
import { FrameCutter, framed } from '../frames.ts';
import type { Library, LinkClient, MessageSink } from '../library.ts';
import { decodeReceived, ReceivedCount } from '../received.ts';
import { clientTls, expectProfile, serverTls } from './tls.ts';
import { TlsConnection } from './yamux-connection.ts';

/** What the opener says first on a stream, one byte: libp2p would negotiate a protocol here. */
const KIND = { messages: 1, calls: 2, echo: 3 } as const;

const muxers = yamuxFactory()();

/** Streams with length-prefixed messages; calls share one of them. */
export const yamux: Library = {
  async serve(credentials) {
    const server = createServer({ ...serverTls(credentials), noDelay: true }, (socket) => {
      const muxer = muxers.createStreamMuxer(new TlsConnection(socket, 'inbound'));
      muxer.addEventListener('stream', ({ detail }) => receive(detail));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  async connect(credentials, port) {
    const socket = connect({ ...clientTls(credentials), host: '127.0.0.1', port });
    await once(socket, 'secureConnect');
    socket.setNoDelay(true);
    expectProfile(socket);
    return openClient(muxers.createStreamMuxer(new TlsConnection(socket, 'outbound')));
  },
};

function receive(stream: Stream): void {
  let handle: ((bytes: Uint8Array) => void) | undefined;
  stream.addEventListener('message', ({ data }) => {
    const bytes = data.subarray();
    if (handle !== undefined) return handle(bytes);
    handle = handlerOf(bytes[0]!, stream);
    if (bytes.length > 1) handle(bytes.subarray(1));
  });
}

function handlerOf(kind: number, stream: Stream): (bytes: Uint8Array) => void {
  if (kind === KIND.messages) return countMessages(stream);
  if (kind === KIND.calls) {
    const cutter = new FrameCutter((request) => void write(stream, answerOf(request)));
    return (bytes) => cutter.push(bytes);
  }
  onEnd(stream, () => void stream.close());
  return (bytes) => void stream.send(bytes);
}

function countMessages(stream: Stream): (bytes: Uint8Array) => void {
  const received = new ReceivedCount();
  const cutter = new FrameCutter((message) => received.add(message));
  onEnd(stream, () => {
    void write(stream, received.encode());
    void stream.close();
  });
  return (bytes) => cutter.push(bytes);
}

function onEnd(stream: Stream, run: () => void): void {
  stream.addEventListener('remoteCloseWrite', run);
}

/** Undefined: the next may follow at once. */
function write(stream: Stream, message: Uint8Array): Promise<void> | undefined {
  let goesOn = true;
  for (const piece of framed(message)) goesOn = stream.send(piece);
  return goesOn ? undefined : drained(stream);
}

/** Not `onDrain`: its promise stays resolved after the first time, and nothing would wait any more. */
function drained(stream: Stream): Promise<void> {
  return new Promise((resolve) => {
    stream.addEventListener('drain', () => resolve(), { once: true });
  });
}

async function openClient(muxer: StreamMuxer): Promise<LinkClient> {
  const open = async (kind: number): Promise<Stream> => {
    const stream = await muxer.createStream();
    stream.send(Uint8Array.of(kind));
    return stream;
  };
  const callStream = await open(KIND.calls);
  const calls = new Calls((message) => void write(callStream, message));
  const answers = new FrameCutter((answer) => calls.take(answer));
  callStream.addEventListener('message', ({ data }) => answers.push(data.subarray()));
  return {
    openMessages: async () => sink(await open(KIND.messages)),
    request: (body) => calls.request(body),
    openStream: async (message) => {
      const stream = await open(KIND.echo);
      const closed = once(stream, 'close');
      const answered = once(stream, 'message');
      stream.send(message);
      await answered;
      await stream.close();
      await closed;
    },
  };
}

function sink(stream: Stream): MessageSink {
  const answered = new Promise<Uint8Array>((resolve) => {
    const cutter = new FrameCutter(resolve);
    stream.addEventListener('message', ({ data }) => cutter.push(data.subarray()));
  });
  return {
    send: (message) => write(stream, message),
    finish: async () => {
      await stream.close();
      return decodeReceived(await answered);
    },
  };
}
