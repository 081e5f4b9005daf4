/**
 * Idle load generator: holds as many connections as it is told, each proven by one echoed byte
 * when it was opened. Fewer than it holds means: close some.
 */
import { connect, type Socket } from 'node:net';
import { serveCommands } from './commands.ts';

export interface IdleCommand {
  readonly port: number;
  /** How many connections to hold from now on. */
  readonly hold: number;
}

export interface IdleResult {
  readonly held: number;
  /** Connections that the other side closed since they were opened. */
  readonly lost: number;
}

const CONCURRENCY = 32;
const OPEN_TIMEOUT_MS = 30_000;
const buffer = new Uint8Array(64);
const held = new Set<Socket>();
let lost = 0;

serveCommands(run);

async function run({ port, hold }: IdleCommand): Promise<IdleResult> {
  await closeSurplus(hold);
  let missing = hold - held.size;
  const worker = async () => {
    try {
      while (missing-- > 0) held.add(await open(port));
    } catch (error) {
      // One that fails ends the others too.
      missing = 0;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return { held: held.size, lost };
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onRead = () => {
      socket.setTimeout(0);
      resolve(socket);
      return true;
    };
    const socket = connect({
      port,
      host: '127.0.0.1',
      timeout: OPEN_TIMEOUT_MS,
      onread: { buffer, callback: onRead },
    });
    const fail = (why: string) => reject(new Error(`connection ${held.size + 1}: ${why}`));
    socket.once('connect', () => socket.write(Uint8Array.of(0x5a)));
    socket.once('timeout', () => socket.destroy(new Error('not answered within 30 s')));
    socket.once('error', (error) => fail(error.message));
    socket.once('close', () => {
      if (held.delete(socket)) lost++;
      fail('closed by the other side');
    });
  });
}

async function closeSurplus(hold: number): Promise<void> {
  const surplus = [...held].slice(hold);
  const closed = surplus.map((socket) => {
    held.delete(socket);
    return new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.end();
    });
  });
  await Promise.all(closed);
}
