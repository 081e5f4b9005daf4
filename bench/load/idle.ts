/**
 * Idle load generator: holds as many connections as it is told, each proven by one echoed byte
 * when it was opened. Fewer than it holds means: close some. When the other side closes one, no more
 * are opened: what it holds by then is what it can hold.
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
  /** Connections that the other side closed so far, in opening them or later. */
  readonly closed: number;
  /** How the last of them ended. */
  readonly why: string;
}

const CONCURRENCY = 32;
const OPEN_TIMEOUT_MS = 30_000;
const buffer = new Uint8Array(64);
const held = new Set<Socket>();
let closed = 0;
let why = '';

serveCommands(run);

async function run({ port, hold }: IdleCommand): Promise<IdleResult> {
  await closeSurplus(hold);
  const closedBefore = closed;
  let opening = 0;
  const worker = async () => {
    while (held.size + opening < hold && closed === closedBefore) {
      opening++;
      await open(port);
      opening--;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return { held: held.size, closed, why };
}

/** Resolves when one more is held, or when that failed. */
function open(port: number): Promise<void> {
  return new Promise((resolve) => {
    let opened = false;
    const onRead = () => {
      if (!opened) held.add(socket.setTimeout(0));
      opened = true;
      resolve();
      return true;
    };
    const socket = connect({
      port,
      host: '127.0.0.1',
      timeout: OPEN_TIMEOUT_MS,
      onread: { buffer, callback: onRead },
    });
    let failure = 'closed by the other side';
    socket.once('connect', () => socket.write(Uint8Array.of(0x5a)));
    socket.once('timeout', () => socket.destroy(new Error('not answered within 30 s')));
    socket.once('error', ({ message }) => (failure = message));
    socket.once('close', () => {
      const closedByUs = opened && !held.delete(socket);
      if (!closedByUs) {
        closed++;
        why = failure;
      }
      resolve();
    });
  });
}

async function closeSurplus(hold: number): Promise<void> {
  const surplus = [...held].slice(hold);
  const closing = surplus.map((socket) => {
    held.delete(socket);
    return new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.end();
    });
  });
  await Promise.all(closing);
}
