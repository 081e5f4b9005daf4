import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ByteReceiver } from '../../../packages/link/src/streams/byte-stream.ts';
import {
  type EndpointSide,
  SocketEndpoint,
} from '../../../packages/link/src/streams/socket-endpoint.ts';
import { NativeEndpoint } from '../../../packages/linux/src/sockets/native-endpoint.ts';
import { planeMissing } from '../linux/native-plane.ts';
import { nativeListener } from '../linux/native-sockets.ts';

/** An endpoint, and the socket of Node at the other end of its own. */
export interface EndpointRig {
  readonly endpoint: ByteReceiver;
  readonly peer: Socket;
  /** The endpoint's socket is closed. */
  isClosed(): boolean;
  /** Code of the stream's end, as the endpoint's owner was told; undefined before. */
  endCode(): string | undefined;
  /** Bytes that wait in the endpoint. */
  queuedBytes(): number;
  close(): void;
}

/** One way to end a stream in a socket, at a TCP connection or at a unix socket. */
export type MakeEndpoint = (side: EndpointSide, path?: string) => Promise<EndpointRig>;

const portable: MakeEndpoint = async (side, path) => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  await once(path === undefined ? server.listen(0, '127.0.0.1') : server.listen(path), 'listening');
  const { port } = server.address() as AddressInfo;
  const peer = connect({ ...(path === undefined ? { port } : { path }), allowHalfOpen: true });
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(peer, 'connect')])) as [
    [Socket],
    unknown,
  ];
  server.close();
  let code: string | undefined;
  const endpoint = new SocketEndpoint(socket, side, (end) => {
    code = end.code;
  });
  return {
    endpoint,
    peer,
    isClosed: () => socket.destroyed,
    endCode: () => code,
    queuedBytes: () => socket.writableLength,
    close: () => {
      socket.destroy();
      peer.destroy();
    },
  };
};

const native: MakeEndpoint = async (side, path) => {
  const { listener, next, place } = nativeListener(path === undefined ? undefined : { path });
  const peer = connect({ ...place, allowHalfOpen: true });
  const [socket] = await Promise.all([next(), once(peer, 'connect')]);
  listener.close();
  let code: string | undefined;
  const endpoint = new NativeEndpoint(socket, side, (end) => {
    code = end.code;
  });
  return {
    endpoint,
    peer,
    isClosed: () => socket.isClosed,
    endCode: () => code,
    queuedBytes: () => socket.queuedBytes,
    close: () => {
      socket.close();
      peer.destroy();
    },
  };
};

/** All that this machine has. */
export const ENDPOINT_KINDS: Readonly<Record<string, MakeEndpoint>> = {
  'a socket of Node': portable,
  ...(planeMissing === undefined && { 'a native socket': native }),
};
