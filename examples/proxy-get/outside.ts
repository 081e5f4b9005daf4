/** The site where values are asked for, over HTTP. See README.md beside this file. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNode } from '../shared/node.ts';
import { ChangedError, Getting, KEY } from './values.ts';

const USAGE = `examples/proxy-get/outside: gets values of the site inside, over HTTP

  curl http://127.0.0.1:PORT/KEY

Prints the port. What is inside is the site of --peer, which dials.`;

/** So long a request waits while nothing of it comes, in ms. */
const PATIENCE_MS = 10_000;
/** Before it is asked again after a failure, in ms. */
const AGAIN_MS = 200;

const { link, peers, signal } = await startNode(USAGE);
const [inside] = peers;
if (inside === undefined) throw new Error('--peer says which site has the values');

const server = createServer((request, response) => void answer(request, response));
server.listen(0, '127.0.0.1', () => {
  console.log(`http on ${(server.address() as AddressInfo).port}`);
});
signal.addEventListener('abort', () => {
  server.close();
  server.closeAllConnections();
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const key = decodeURIComponent(request.url?.slice(1) ?? '');
  if (request.method !== 'GET' || !KEY.test(key)) {
    response.writeHead(400).end('GET /KEY\n');
    return;
  }
  const client = new AbortController();
  response.on('close', () => client.abort());
  const getting = new Getting({
    head: ({ size }) => response.writeHead(200, { 'content-length': size }),
    write: async (bytes) => {
      if (!response.write(bytes)) await once(response, 'drain', { signal: client.signal });
    },
  });
  try {
    if (await get(getting, key, client.signal)) response.end();
    else response.writeHead(404).end(`there is no ${key}\n`);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else response.writeHead(504).end(`${(error as Error).message}\n`);
  }
}

/**
 * Gets a value, which is asked for again from where it broke off: reading it twice does no harm.
 *
 * @throws what it failed with last, when nothing has come for too long
 */
async function get(getting: Getting, key: string, client: AbortSignal): Promise<boolean> {
  let deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const before = getting.bytes;
    try {
      const wanted = AbortSignal.any([signal, client]);
      const opening = AbortSignal.any([wanted, AbortSignal.timeout(PATIENCE_MS)]);
      const peer = await link.peer(inside!, { signal: opening });
      return await getting.from(peer, key, { opening, signal: wanted });
    } catch (error) {
      if (getting.bytes > before) deadline = Date.now() + PATIENCE_MS;
      const isVain = Date.now() >= deadline || client.aborted || signal.aborted;
      if (isVain || error instanceof ChangedError) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
