/** The site where values are asked for, over HTTP. See README.md beside this file. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNode } from '../shared/node.ts';
import { ChangedError, Getting } from './getting.ts';
import { KEY } from './messages.ts';
import { Patience } from './patience.ts';

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

const server = createServer((request, response) => {
  const key = request.url?.slice(1) ?? '';
  if (request.method === 'GET' && KEY.test(key)) void answer(key, response);
  else response.writeHead(400).end('GET /KEY\n');
});
server.listen(0, '127.0.0.1', () => {
  console.log(`http on ${(server.address() as AddressInfo).port}`);
});
signal.addEventListener('abort', () => {
  server.close();
  server.closeAllConnections();
});

async function answer(key: string, response: ServerResponse): Promise<void> {
  const patience = new Patience(PATIENCE_MS);
  response.on('close', () => patience.end());
  const sink = {
    head: ({ size }: { readonly size: number }) => {
      response.writeHead(200, { 'content-length': size });
    },
    write: async (bytes: Uint8Array) => {
      if (!response.write(bytes)) await once(response, 'drain', { signal: patience.signal });
    },
  };
  try {
    const isThere = await get(new Getting(key, sink, patience), patience);
    if (isThere) response.end();
    else response.writeHead(404).end(`there is no ${key}\n`);
  } catch (error) {
    // To the client a body that is too short is no answer.
    if (response.headersSent) response.destroy();
    else response.writeHead(504).end(`${(error as Error).message}\n`);
  }
}

/**
 * Gets a value, which is asked for again from where it broke off: reading it twice does no harm.
 *
 * @throws why nothing has come for too long, or that the value has changed
 */
async function get(getting: Getting, patience: Patience): Promise<boolean> {
  const over = { signal: patience.signal };
  let why = 'it is not connected; see why it cannot dial';
  for (;;) {
    try {
      const peer = await link.peer(inside!, over);
      why = 'it is connected and does not answer';
      return await getting.from(peer);
    } catch (error) {
      if (error instanceof ChangedError) throw error;
      if (patience.signal.aborted)
        throw new Error(`nothing came from ${inside} for ${PATIENCE_MS / 1000} s: ${why}`);
      why = (error as Error).message;
      await sleep(AGAIN_MS, undefined, over).catch(() => undefined);
    }
  }
}
