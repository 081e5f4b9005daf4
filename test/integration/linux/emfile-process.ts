/**
 * A process with a native listener that, told so on stdin, uses up its file descriptors (`fill`) or
 * gives them back (`free`), and answers with one line each; it says by itself when the listener fails,
 * goes on or has accepted. Started by the test under a low `ulimit -n`.
 */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { NativeListener } from '../../../packages/linux/src/sockets/native-listener.ts';
import type { NativeSocket } from '../../../packages/linux/src/sockets/native-socket.ts';
import { testPlane } from '../../support/linux/native-plane.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);
const held: number[] = [];
/** Kept while there are no free descriptors: one that were closed would let the next one in. */
const kept: NativeSocket[] = [];
let isFull = false;
let accepted = 0;

const listener = new NativeListener(testPlane(), {
  at: { host: '127.0.0.1', port: 0 },
  delayMs: () => 50,
  onConnection: (socket) => {
    accepted++;
    if (isFull) kept.push(socket);
    else socket.reset();
    say(`accepted ${accepted}`);
  },
  onError: (error) => say(`error ${error.code}`),
  onReopened: () => say('reopened'),
});
const { place } = listener;
say(String(place !== undefined && 'port' in place && place.port));

for await (const command of createInterface(process.stdin)) {
  isFull = command === 'fill';
  if (isFull) fill();
  else free();
  say(`done ${command}`);
}
listener.close();

function fill(): void {
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch {
    // EMFILE: full.
  }
}

function free(): void {
  for (const fd of held.splice(0)) closeSync(fd);
  for (const socket of kept.splice(0)) socket.reset();
}
