import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  AsyncByteStream,
  webStreamsOf,
} from '../../../../packages/link/src/streams/adapters/async-byte-stream.ts';
import { StreamResetError } from '../../../../packages/link/src/streams/adapters/byte-channel.ts';
import { MessageStream } from '../../../../packages/link/src/streams/adapters/message-stream.ts';
import { StreamDuplex } from '../../../../packages/link/src/streams/adapters/stream-duplex.ts';
import type { ByteReceiver } from '../../../../packages/link/src/streams/byte-stream.ts';
import { SocketEndpoint } from '../../../../packages/link/src/streams/socket-endpoint.ts';
import type { AdapterEnd } from '../../../../packages/link/src/testing/byte-stream-checks.ts';
import { NativeEndpoint } from '../../../../packages/linux/src/sockets/native-endpoint.ts';
import { listeningPort } from '../../../support/lanes/lane-pair.ts';
import { nativeListener, type TcpPlace } from '../../../support/linux/native-sockets.ts';

export function asyncEnd(stream = new AsyncByteStream()): AdapterEnd {
  return {
    receiver: stream.receiver,
    write: (bytes) => stream.write(bytes),
    end: () => stream.end(),
    read: () => stream.read(),
    reset: (code) => stream.reset(code, 'by the test'),
  };
}

/** Reads with `for await`. */
export function iteratorEnd(): AdapterEnd {
  const stream = new AsyncByteStream();
  const iterator = stream[Symbol.asyncIterator]();
  const read = async () => (await iterator.next()).value ?? undefined;
  return { ...asyncEnd(stream), read };
}

export function webEnd(): AdapterEnd {
  const stream = new AsyncByteStream();
  const { readable, writable } = webStreamsOf(stream);
  const reader = readable.getReader();
  const writer = writable.getWriter();
  writer.closed.catch(() => undefined);
  return {
    receiver: stream.receiver,
    write: (bytes) => writer.write(bytes),
    end: () => void writer.close().catch(() => undefined),
    read: async () => (await reader.read()).value,
    reset: (code) => void writer.abort(new StreamResetError(code, 'by the test')),
  };
}

const PLAIN = { encode: (bytes: Uint8Array) => bytes, decode: (bytes: Uint8Array) => bytes };

export function messageEnd(): AdapterEnd {
  const stream = new MessageStream<Uint8Array>({ codecs: { 1: PLAIN } });
  return {
    receiver: stream.receiver,
    write: (bytes) => stream.send(bytes),
    end: () => stream.end(),
    read: async () => {
      const next = await stream.receive();
      return next.done ? undefined : next.value;
    },
    reset: (code) => stream.reset(code, 'by the test'),
  };
}

export function duplexEnd(): AdapterEnd {
  const duplex = new StreamDuplex();
  const reset: AdapterEnd['reset'] = (code) =>
    duplex.destroy(new StreamResetError(code, 'by the test'));
  return nodeEnd(duplex, duplex.receiver, reset);
}

/** A socket on the far side of the one that the stream ends in. */
export async function socketEnd(side: 'client' | 'target'): Promise<AdapterEnd> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  const port = await listeningPort(server);
  const far = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const [near] = (await once(server, 'connection')) as [Socket];
  server.close();
  const endpoint = new SocketEndpoint(near, side, () => undefined);
  return nodeEnd(far, endpoint, () => void far.resetAndDestroy());
}

/** The same with a native socket. */
export async function nativeSocketEnd(side: 'client' | 'target'): Promise<AdapterEnd> {
  const { listener, next, place } = nativeListener();
  const far = connect({ ...(place as TcpPlace), allowHalfOpen: true });
  const [near] = await Promise.all([next(), once(far, 'connect')]);
  listener.close();
  const endpoint = new NativeEndpoint(near, side, () => undefined);
  return nodeEnd(far, endpoint, () => void far.resetAndDestroy());
}

function nodeEnd(duplex: Duplex, receiver: ByteReceiver, reset: AdapterEnd['reset']): AdapterEnd {
  let failure: Error | undefined;
  duplex.on('error', (error) => {
    failure = error;
  });
  return {
    receiver,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) {
          reject(failure);
          return;
        }
        duplex.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    end: () => void duplex.end(),
    read: () => readNext(duplex),
    reset,
  };
}

/** Not with the iterator of Node's streams, which destroys what it has read to the end. */
function readNext(duplex: Duplex): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      duplex.off('readable', next).off('end', ended).off('error', failed);
    };
    const ended = () => {
      stop();
      resolve(undefined);
    };
    const failed = (error: Error) => {
      stop();
      reject(error);
    };
    const next = () => {
      const chunk = duplex.read() as Uint8Array | null;
      if (chunk === null) return;
      stop();
      resolve(chunk);
    };
    if (duplex.errored) reject(duplex.errored);
    else if (duplex.readableEnded) resolve(undefined);
    else {
      duplex.on('readable', next).on('end', ended).on('error', failed);
      next();
    }
  });
}
