/**
 * A process with a native listener that, told so on stdin, uses up its file descriptors (`fill`) or
 * gives them back (`free`), and answers with one line each; it says by itself when the listener fails,
 * goes on or has accepted. Started by the test under a low `ulimit -n`.
 */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { NativeListener } from '../../../packages/linux/src/sockets/native-listener.ts';
import { testPlane } from '../../support/linux/native-plane.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);
const held: number[] = [];
let accepted = 0;

const listener = new NativeListener(testPlane(), {
  at: { host: '127.0.0.1', port: 0 },
  delayMs: () => 50,
  onConnection: (socket) => {
    accepted++;
    socket.reset();
    say(`accepted ${accepted}`);
  },
  onError: (error) => say(`error ${error.code}`),
  onReopened: () => say('reopened'),
});
const { place } = listener;
say(String(place !== undefined && 'port' in place && place.port));

for await (const command of createInterface(process.stdin)) {
  if (command === 'fill') fill();
  else for (const fd of held.splice(0)) closeSync(fd);
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
