/**
 * A process that listens for lanes and, told so on stdin, uses up its file descriptors (`fill`),
 * dials (`dial`), or gives them back (`free`). It answers each with one line; started by the test
 * under a low `ulimit -n`.
 */
import { closeSync, openSync } from 'node:fs';
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
  dial: () => {
    // The runtime may have let go of a descriptor of its own since the last command.
    fill();
    return dialTcp({ address: server.listener.address }).then(
      (socket) => {
        socket.destroy();
        return 'dialled';
      },
      (error: RoutyError) => `failed ${error.code}`,
    );
  },
  free: () => {
    for (const fd of held.splice(0)) closeSync(fd);
    return 'freed';
  },
};

console.log(server.listener.address.port);
for await (const line of createInterface(process.stdin)) console.log(await commands[line]!());
await server.close();
