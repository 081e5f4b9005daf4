import { MessageStream } from '@routy/link/streams';
import { answerOf, Calls } from '../calls.ts';
import type { Library, LinkClient, MessageSink } from '../library.ts';
import { decodeReceived, ReceivedCount } from '../received.ts';
import { dialNode, listenNode } from './routy-node.ts';

type Messages = MessageStream<Uint8Array>;

const BYTES = {
  encode: (message: Uint8Array): Uint8Array => message,
  decode: (bytes: Uint8Array): Uint8Array => bytes,
};

/** Streams of messages, as the library has them; calls share one of them. */
export const routy: Library = {
  serve: (credentials) =>
    listenNode(credentials, (protocol) => {
      const stream = newStream();
      // A client that is stopped cuts its streams; that is no event for the server.
      HANDLERS[protocol]!(stream).catch(() => stream.reset());
      return stream;
    }),

  async connect(credentials, port) {
    const open = await dialNode(credentials, port);
    return openClient((protocol) => {
      const stream = newStream();
      open(protocol, stream);
      return stream;
    });
  },
};

function newStream(): Messages {
  return new MessageStream({ codecs: { 1: BYTES } });
}

const HANDLERS: Readonly<Record<string, (stream: Messages) => Promise<void>>> = {
  async messages(stream) {
    const received = new ReceivedCount();
    for await (const message of stream) received.add(message);
    await stream.send(received.encode());
    stream.end();
  },

  async calls(stream) {
    for await (const request of stream) await stream.send(answerOf(request));
    stream.end();
  },

  async echo(stream) {
    for await (const message of stream) await stream.send(message);
    stream.end();
  },
};

function openClient(open: (protocol: string) => Messages): LinkClient {
  const callStream = open('calls');
  const calls = new Calls((message) => void callStream.send(message));
  void takeAnswers(callStream, calls);
  return {
    openMessages: async () => sink(open('messages')),
    request: (body) => calls.request(body),
    openStream: async (message) => {
      const stream = open('echo');
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
