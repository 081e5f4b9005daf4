import { FaultProxy, type FaultProxyOptions } from './fault-proxy.ts';

/** A process of its own for one fault proxy, told what to do over node's IPC channel. */
export type ProxyMethod =
  | 'setFaults'
  | 'cut'
  | 'halfOpen'
  | 'corrupt'
  | 'refuse'
  | 'accept'
  | 'counters';

export interface ProxyRequest {
  readonly id: number;
  readonly method: ProxyMethod | 'start';
  readonly params: readonly unknown[];
}

export interface ProxyResponse {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

let proxy: FaultProxy | undefined;

async function perform({ method, params }: ProxyRequest): Promise<unknown> {
  if (method === 'start') {
    proxy = await FaultProxy.start(params[0] as FaultProxyOptions);
    return { host: proxy.host, port: proxy.port };
  }
  if (proxy === undefined) throw new Error('the proxy was not started');
  return (proxy[method] as (...args: readonly unknown[]) => unknown).apply(proxy, [...params]);
}

async function answer(request: ProxyRequest): Promise<void> {
  const { id } = request;
  let response: ProxyResponse;
  try {
    response = { id, result: await perform(request) };
  } catch (error) {
    response = { id, error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(response);
}

process.on('message', (request: ProxyRequest) => void answer(request));
process.on('disconnect', () => process.exit(0));
