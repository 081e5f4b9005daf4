import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { answerOf, Calls } from '../calls.ts';
import { FrameCutter, framed } from '../frames.ts';
import type { Library, LinkClient, MessageSink } from '../library.ts';
import { decodeReceived, ReceivedCount } from '../received.ts';
import { clientTls, expectProfile, serverTls } from './tls.ts';

/** What a client says first on a connection, one byte. */
const KIND = { messages: 1, calls: 2, echo: 3 } as const;

/** No library: a connection of `node:tls` in place of each stream, with length-prefixed messages. */
export const plainTls: Library = {
  async serve(credentials) {
    const options = { ...serverTls(credentials), noDelay: true, allowHalfOpen: true };
    const server = createServer(options, (socket) => receive(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  async connect(credentials, port) {
    const options = { ...clientTls(credentials), host: '127.0.0.1', port, allowHalfOpen: true };
    return openClient(async (kind) => {
      const socket = connect(options);
      await once(socket, 'secureConnect');
      socket.setNoDelay(true);
      expectProfile(socket);
      socket.write(Uint8Array.of(kind));
      return socket;
    });
  },
};

function receive(socket: TLSSocket): void {
  socket.on('error', () => socket.destroy());
  socket.once('data', (first: Buffer) => {
    const handle = handlerOf(first[0]!, socket);
    if (first.length > 1) handle(first.subarray(1));
    socket.on('data', handle);
  });
}

function handlerOf(kind: number, socket: TLSSocket): (bytes: Uint8Array) => void {
  if (kind === KIND.messages) return countMessages(socket);
  socket.once('end', () => socket.end());
  if (kind === KIND.echo) return (bytes) => void socket.write(bytes);
  const cutter = new FrameCutter((request) => void write(socket, answerOf(request)));
  return (bytes) => cutter.push(bytes);
}

function countMessages(socket: TLSSocket): (bytes: Uint8Array) => void {
  const received = new ReceivedCount();
  const cutter = new FrameCutter((message) => received.add(message));
  socket.once('end', () => {
    void write(socket, received.encode());
    socket.end();
  });
  return (bytes) => cutter.push(bytes);
}

/** Undefined: the next may follow at once. */
function write(socket: TLSSocket, message: Uint8Array): Promise<void> | undefined {
  let goesOn = true;
  socket.cork();
  for (const piece of framed(message)) goesOn = socket.write(piece);
  socket.uncork();
  if (goesOn) return undefined;
  return new Promise((resolve) => {
    socket.once('drain', resolve);
  });
}

async function openClient(open: (kind: number) => Promise<TLSSocket>): Promise<LinkClient> {
  const callSocket = await open(KIND.calls);
  const calls = new Calls((message) => void write(callSocket, message));
  const answers = new FrameCutter((answer) => calls.take(answer));
  callSocket.on('data', (bytes: Buffer) => answers.push(bytes));
  return {
    openMessages: async () => sink(await open(KIND.messages)),
    request: (body) => calls.request(body),
    openStream: async (message) => {
      const socket = await open(KIND.echo);
      const closed = once(socket, 'close');
      socket.end(message);
      socket.resume();
      await closed;
    },
  };
}

function sink(socket: TLSSocket): MessageSink {
  const answered = new Promise<Uint8Array>((resolve) => {
    const cutter = new FrameCutter(resolve);
    socket.on('data', (bytes: Buffer) => cutter.push(bytes));
  });
  return {
    send: (message) => write(socket, message),
    finish: async () => {
      socket.end();
      return decodeReceived(await answered);
    },
  };
}
