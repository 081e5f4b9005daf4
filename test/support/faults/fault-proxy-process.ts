import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FaultProxy, FaultProxyOptions } from './fault-proxy.ts';
import type { ProxyMethod, ProxyRequest, ProxyResponse } from './fault-proxy-main.ts';
import { inside, type Namespace } from '../namespaces/namespaces.ts';
import { Daemon } from '../process.ts';

type Params<M extends ProxyMethod> = Parameters<FaultProxy[M]>;
type Result<M extends ProxyMethod> = Awaited<ReturnType<FaultProxy[M]>>;

/** A fault proxy in a process of its own; see {@link FaultProxy} for what it can do. */
export interface FaultProxyProcess {
  readonly host: string;
  readonly port: number;
  call<M extends ProxyMethod>(method: M, ...params: Params<M>): Promise<Result<M>>;
  stop(): Promise<void>;
}

/** Starts a fault proxy inside a namespace; it listens when this resolves. */
export async function startFaultProxy(
  namespace: Namespace,
  directory: string,
  name: string,
  options: FaultProxyOptions,
): Promise<FaultProxyProcess> {
  const main = fileURLToPath(new URL('./fault-proxy-main.ts', import.meta.url));
  const start = inside(namespace, process.execPath, ['--import', 'tsx', main]);
  const logFile = join(directory, `${name}.log`);
  const daemon = new Daemon(name, start.command, start.args, { logFile, ipc: true });
  const request = requester(daemon);
  const { host, port } = (await request('start', [options])) as { host: string; port: number };
  return {
    host,
    port,
    call: (method, ...params) => request(method, params) as Promise<Result<typeof method>>,
    stop: async () => void (await daemon.stop()),
  };
}

/** Sends requests to the process and matches its answers. */
function requester(
  daemon: Daemon,
): (method: ProxyRequest['method'], params: readonly unknown[]) => Promise<unknown> {
  const waiting = new Map<number, (response: ProxyResponse) => void>();
  let lastId = 0;
  daemon.child.on('message', (response: ProxyResponse) => waiting.get(response.id)?.(response));
  daemon.child.on('exit', () => {
    for (const [id, settle] of waiting) settle({ id, error: 'the process ended' });
  });
  return (method, params) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      waiting.set(id, ({ error, result }) => {
        waiting.delete(id);
        if (error === undefined) resolve(result);
        else reject(new Error(`${daemon.name}: ${method}: ${error}`));
      });
      daemon.child.send({ id, method, params } satisfies ProxyRequest);
    });
}
