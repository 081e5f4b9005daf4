import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inside, type Namespace } from '../namespaces/namespaces.ts';
import { Daemon } from '../process.ts';
import type { Methods, Request, Response } from './main.ts';

type Params<M extends keyof Methods> = Parameters<Methods[M]>[0];
type Result<M extends keyof Methods> = Awaited<ReturnType<Methods[M]>>;

/** Servers and clients that stand in one namespace; see `main.ts` for what they can do. */
export interface TcpTools {
  readonly daemon: Daemon;
  call<M extends keyof Methods>(method: M, params: Params<M>): Promise<Result<M>>;
  stop(): Promise<void>;
}

export function startTcpTools(namespace: Namespace, directory: string, name: string): TcpTools {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const start = inside(namespace, process.execPath, ['--import', 'tsx', main]);
  const daemon = new Daemon(name, start.command, start.args, {
    logFile: join(directory, `${name}.log`),
    ipc: true,
  });
  const waiting = new Map<number, (response: Response | undefined) => void>();
  let lastId = 0;
  daemon.child.on('message', (response: Response) => waiting.get(response.id)?.(response));
  daemon.child.on('exit', () => {
    for (const settle of waiting.values()) settle(undefined);
  });
  return {
    daemon,
    call: (method, params) =>
      new Promise((resolve, reject) => {
        const id = ++lastId;
        waiting.set(id, (response) => {
          waiting.delete(id);
          if (response === undefined) reject(new Error(`${name} ended during ${method}`));
          else if ('error' in response) reject(new Error(`${method}: ${response.error}`));
          else resolve(response.result as Result<typeof method>);
        });
        daemon.child.send({ id, method, params } satisfies Request);
      }),
    stop: async () => void (await daemon.stop()),
  };
}
