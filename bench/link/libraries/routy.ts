import { createLink, type Link, type LinkStream, type TlsCredentials } from '@routy/link';
import type { MessageStream } from '@routy/link/streams';
import { loadNativeTransport } from '@routy/linux';
import { answerOf, Calls } from '../calls.ts';
import type { Library, LinkClient, MessageSink } from '../library.ts';
import { decodeReceived, ReceivedCount } from '../received.ts';

type Messages = MessageStream<Uint8Array>;

const BYTES = {
  encode: (message: Uint8Array): Uint8Array => message,
  decode: (bytes: Uint8Array): Uint8Array => bytes,
};

/** Streams of messages, as a program of others opens them; calls share one of them. */
export const routy: Library = linksOf((credentials) =>
  createLink({ credentials, software: 'routy/bench' }),
);

/** The same over the native transport. */
export const routyNative: Library = linksOf((credentials) => {
  const native = loadNativeTransport(credentials);
  if ('missing' in native) throw new Error(native.missing);
  const transports = { tls: native.transport };
  return createLink({ credentials, transports, software: 'routy/bench' });
});

function linksOf(newLink: (credentials: TlsCredentials) => Link): Library {
  return {
    async serve(credentials) {
      const link = newLink(credentials);
      speak(link, 'messages', async (stream) => {
        const received = new ReceivedCount();
        for await (const message of stream) received.add(message);
        await stream.send(received.encode());
      });
      speak(link, 'calls', async (stream) => {
        for await (const request of stream) await stream.send(answerOf(request));
      });
      speak(link, 'echo', async (stream) => {
        for await (const message of stream) await stream.send(message);
      });
      const { address } = await link.listen({
        transport: 'tls',
        address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      });
      return (address as { readonly port: number }).port;
    },

    async connect(credentials, port) {
      const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
      const peer = await newLink(credentials).dial({ transport: 'tls', address }).ready();
      return openClient(async (protocol) => messagesOf(await peer.open({ protocol })));
    },
  };
}

function messagesOf(stream: LinkStream): Messages {
  return stream.messages({ codecs: { 1: BYTES } });
}

function speak(link: Link, name: string, take: (stream: Messages) => Promise<void>): void {
  link.protocol({
    name,
    accept: async (stream) => {
      const messages = messagesOf(stream);
      await take(messages);
      messages.end();
    },
  });
}

async function openClient(open: (protocol: string) => Promise<Messages>): Promise<LinkClient> {
  const callStream = await open('calls');
  const calls = new Calls((message) => void callStream.send(message));
  void takeAnswers(callStream, calls);
  return {
    openMessages: async () => sink(await open('messages')),
    request: (body) => calls.request(body),
    openStream: async (message) => {
      const stream = await open('echo');
      await stream.send(message);
      await stream.receive();
      stream.end();
      await stream.receive();
      await stream.finished();
    },
  };
}

async function takeAnswers(stream: Messages, calls: Calls): Promise<void> {
  for await (const answer of stream) calls.take(answer);
}

function sink(stream: Messages): MessageSink {
  return {
    send: (message) => stream.send(message),
    finish: async () => {
      stream.end();
      for await (const answer of stream) return decodeReceived(answer);
      throw new Error('the server said nothing');
    },
  };
}
