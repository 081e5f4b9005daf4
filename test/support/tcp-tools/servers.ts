import { createHash } from 'node:crypto';
import net from 'node:net';
import { resetSocket } from '../../../packages/link/src/streams/sockets.ts';
import { pattern } from './pattern.ts';

/**
 * - `echo`: sends back what it gets; ends when the client ends.
 * - `reply`: reads to the client's end of stream, then sends `replyBytes` of pattern and ends.
 * - `source`: sends as fast as the client reads, until the client goes.
 * - `sink`: reads and says nothing.
 * - `reset`: resets the connection at the first byte.
 */
export type ServerMode = 'echo' | 'reply' | 'source' | 'sink' | 'reset';

export interface ServerFigures {
  readonly accepted: number;
  readonly open: number;
  /** Bytes received on all connections. */
  readonly received: number;
  /** SHA-256 of what the last finished connection received, in hex. */
  readonly lastDigest: string | null;
  /** How connections ended: by error code, or `clean`. */
  readonly outcomes: Readonly<Record<string, number>>;
}

interface Server {
  readonly server: net.Server;
  readonly sockets: Set<net.Socket>;
  accepted: number;
  received: number;
  lastDigest: string | null;
  readonly outcomes: Record<string, number>;
}

const servers = new Map<number, Server>();
const CHUNK = pattern(256 * 1024);

/** Listens on all addresses; port 0 takes a free one. Gives the port. */
export async function serve(params: {
  mode: ServerMode;
  port?: number;
  replyBytes?: number;
}): Promise<number> {
  const entry: Server = {
    server: net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      track(entry, socket);
      answer(socket, params.mode, params.replyBytes ?? 0);
    }),
    sockets: new Set(),
    accepted: 0,
    received: 0,
    lastDigest: null,
    outcomes: {},
  };
  await new Promise<void>((resolve, reject) => {
    entry.server.once('error', reject);
    entry.server.listen({ port: params.port ?? 0, host: '::', backlog: 4096 }, resolve);
  });
  const { port } = entry.server.address() as net.AddressInfo;
  servers.set(port, entry);
  return port;
}

function track(entry: Server, socket: net.Socket): void {
  const digest = createHash('sha256');
  let outcome = 'clean';
  entry.accepted += 1;
  entry.sockets.add(socket);
  socket.on('data', (chunk: Buffer) => {
    entry.received += chunk.length;
    digest.update(chunk);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    outcome = error.code ?? error.message;
  });
  socket.on('close', () => {
    entry.sockets.delete(socket);
    entry.lastDigest = digest.digest('hex');
    entry.outcomes[outcome] = (entry.outcomes[outcome] ?? 0) + 1;
  });
}

function answer(socket: net.Socket, mode: ServerMode, replyBytes: number): void {
  switch (mode) {
    case 'echo':
      socket.pipe(socket);
      break;
    case 'reply':
      socket.on('end', () => socket.end(pattern(replyBytes)));
      break;
    case 'source':
      socket.on('end', () => socket.destroy());
      pour(socket);
      break;
    case 'sink':
      socket.on('end', () => socket.end());
      break;
    case 'reset':
      socket.once('data', () => resetSocket(socket));
      break;
  }
}

function pour(socket: net.Socket): void {
  const fill = (): void => {
    while (!socket.destroyed && socket.write(CHUNK));
  };
  socket.on('drain', fill);
  fill();
}

export function serverFigures(params: { port: number }): ServerFigures {
  const { accepted, received, lastDigest, outcomes, sockets } = serverAt(params.port);
  return { accepted, received, lastDigest, outcomes, open: sockets.size };
}

/** Stops listening and destroys what is open. */
export async function closeServer(params: { port: number }): Promise<void> {
  const { server, sockets } = serverAt(params.port);
  servers.delete(params.port);
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function serverAt(port: number): Server {
  const entry = servers.get(port);
  if (entry === undefined) throw new Error(`no server on port ${port}`);
  return entry;
}
