import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Stage } from './stage.ts';

/**
 * A service that says nothing until its client has finished sending: it answers a half-close with
 * the SHA-256 of what came before it. A tunnel that takes FIN for the end of everything loses the
 * answer.
 */
export async function startChecksumService(stage: Stage, port: number): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    const hash = createHash('sha256');
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => socket.end(hash.digest('hex')));
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen({ host: '127.0.0.1', port });
  await once(server, 'listening');
  stage.onEnd(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
}

/** Sends the bytes, half-closes, and gives what the service answers after that. */
export async function askChecksum(stage: Stage, port: number, bytes: Buffer): Promise<string> {
  const { signal } = stage;
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, signal });
  socket.setEncoding('utf8').end(bytes);
  let answer = '';
  for await (const text of socket) answer += text;
  return answer;
}
