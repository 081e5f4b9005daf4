/**
 * A process that listens for lanes and, told so on stdin, uses up its file descriptors (`fill`),
 * dials (`dial`), or gives them back (`free`). It answers each with one line; started by the test
 * under a low `ulimit -n`.
 */
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { dialTcp } from '../../../packages/link/src/transport/dial.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import type { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { testListener } from '../../support/lanes/lane-pair.ts';

const credentials = JSON.parse(process.env.CREDENTIALS!) as TlsCredentials;
const server = await testListener(credentials, { reopenDelays: { baseMs: 10, capMs: 100 } });
const held: number[] = [];

function fill(): string {
  for (;;) {
    try {
      held.push(openSync('/dev/null', 'r'));
    } catch (error) {
      return `filled ${(error as { code?: string }).code}`;
    }
  }
}

const commands: Record<string, () => Promise<string> | string> = {
  fill,
  dial: async () => {
    const dialled: Socket[] = [];
    let answer = 'dialled';
    // The runtime lets go of descriptors of its own now and then, which one that is kept uses up.
    while (answer === 'dialled' && dialled.length < 20) {
      fill();
      answer = await dialTcp({ address: server.listener.address }).then(
        (socket) => {
          dialled.push(socket);
          return 'dialled';
        },
        (error: RoutyError) => `failed ${error.code}`,
      );
    }
    for (const socket of dialled) socket.destroy();
    return answer;
  },
  free: () => {
    for (const fd of held.splice(0)) closeSync(fd);
    return 'freed';
  },
};

console.log(server.listener.address.port);
for await (const line of createInterface(process.stdin)) console.log(await commands[line]!());
await server.close();
