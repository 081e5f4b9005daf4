import { createConnection } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  cliJson,
  cliOk,
  echoServer,
  Home,
  Running,
  scratch,
  untilStatus,
} from '../../support/nodes/cli-support.ts';

/** What comes back over a unix socket for a line sent there. */
export function echoed(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => socket.end(line));
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

export interface Pair {
  readonly gray: Home;
  readonly red: Home;
  readonly grayUp: Running;
  readonly redUp: Running;
  /** Gray's forward to red's echo service. */
  readonly socket: string;
}

/** Starts gray, which has the CA and listens, with these forwards; red may join by the line. */
export async function startGray(
  t: TestContext,
  gray: Home,
  ...forwards: readonly string[]
): Promise<{ grayUp: Running; joinLine: string }> {
  await cliOk(
    ...['init', '--site', 'gray', '--node', 'gray1', '--listen', '127.0.0.1:0', ...gray.made],
    ...forwards.flatMap((forward) => ['--forward', forward]),
  );
  const grayUp = new Running(t, 'up', ...gray.at);
  const [, address] = await grayUp.printed(/listening for lanes on (127\.0\.0\.1:\d+)/);
  const { joinLine } = await cliJson<{ joinLine: string }>(
    ...['invite', 'red', '--address', address!, ...gray.at],
  );
  return { grayUp, joinLine };
}

/** Gray has the CA and listens, red joins and dials; red offers an echo to gray. */
export async function startPair(t: TestContext): Promise<Pair> {
  const directory = scratch(t);
  const gray = new Home(directory, 'gray');
  const red = new Home(directory, 'red');
  const socket = join(directory, 'echo.sock');
  const { grayUp, joinLine } = await startGray(t, gray, `unix:${socket}=red/echo`);
  const redUp = new Running(
    t,
    ...['join', joinLine, '--node', 'red1', '--up', ...red.made],
    ...['--service', `echo=${await echoServer(t)}`, '--allow', 'gray'],
  );
  await untilStatus(gray, ({ forwards }) => forwards[0]?.state === 'listening');
  return { gray, red, grayUp, redUp, socket };
}
