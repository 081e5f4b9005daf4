/**
 * A process that does with a native plane what its argument says, and nothing else: it is to end by
 * itself. Says on stdout what happened.
 */
import { connect } from 'node:net';
import { testPlane } from '../../support/linux/native-plane.ts';
import { nativeListener, SocketLog, type TcpPlace } from '../../support/linux/native-sockets.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);
const [, , what] = process.argv;

const { loop } = testPlane();
if (what === 'echo' || what === 'throw') await echo();
if (what === 'throw late') endOfRound();

/** Two that wait for the end of the same round, the first one with a defect. */
function endOfRound(): void {
  process.on('uncaughtException', () => say('caught'));
  loop.atRoundEnd(() => {
    throw new Error('a defect');
  });
  loop.atRoundEnd(() => say('second'));
}

async function echo(): Promise<void> {
  const { listener, next, place } = nativeListener();
  const clients = [connect({ ...(place as TcpPlace) })];
  if (what === 'throw') clients.push(connect({ ...(place as TcpPlace) }));
  const sockets = [];
  for (const _ of clients) sockets.push(await next());
  listener.close();
  const last = clients.length - 1;
  clients[last]!.on('data', () => {
    say('echoed');
    for (const client of clients) client.end();
  });
  clients[last]!.on('close', () => say('closed'));
  process.on('uncaughtException', () => say('caught'));
  sockets.forEach((socket, n) => {
    const log = new SocketLog(socket);
    log.onEnd = () => socket.end();
    log.use = (bytes) => {
      if (n < last) throw new Error('a defect');
      socket.write(bytes.slice());
      socket.flush();
      return false;
    };
  });
  // Both are read in one round, the one that throws first.
  for (const client of clients) client.write('x');
}
