import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';

/**
 * A target in a process of its own, as targets are: what it says and how it closes meet at the node
 * in one go, which within one process they seldom do. `onSocket` is the text of a function. The port.
 */
export async function targetProcess(t: TestContext, onSocket: string): Promise<number> {
  const script = `
    const server = require('node:net').createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {});
      (${onSocket})(socket);
    });
    server.listen(0, '127.0.0.1', 1024, () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  return Number(text.toString());
}
