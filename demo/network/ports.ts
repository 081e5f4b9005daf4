import { once } from 'node:events';
import { createServer } from 'node:net';
import { RoutyError } from '@routy/proto/base';

/**
 * Below the ports that systems take for outgoing connections (Linux: 32768 and up, others 49152):
 * a port that is free now will not be taken by a passing connection before its owner listens.
 */
const PORT_MIN = 20_000;
const PORT_MAX = 29_999;
const ATTEMPTS_MAX = 1000;

/** A different port of 127.0.0.1 that nobody listens on, for each name. */
export async function freePorts<Name extends string>(
  names: readonly Name[],
): Promise<Record<Name, number>> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < names.length; attempt++) {
    if (attempt === ATTEMPTS_MAX) {
      throw new RoutyError('demo-no-port', `no free port from ${PORT_MIN} to ${PORT_MAX}`, {
        hint: 'stop what listens there, then try again',
      });
    }
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN + 1));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  const chosen = [...ports];
  const entries = names.map((name, index) => [name, chosen[index]!]);
  return Object.fromEntries(entries) as Record<Name, number>;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host: '127.0.0.1', port });
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
