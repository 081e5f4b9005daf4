import * as clients from './clients.ts';
import * as echoes from './echoes.ts';
import * as exchange from './exchange.ts';
import * as intruders from './intruders.ts';
import * as readers from './readers.ts';
import * as servers from './servers.ts';

/**
 * A process that stands in one namespace and does there what the test asks over node's IPC
 * channel: one process for all servers and clients, because starting one takes half a second.
 */
const methods = { ...clients, ...echoes, ...exchange, ...intruders, ...readers, ...servers };

export type Methods = typeof methods;

export interface Request {
  readonly id: number;
  readonly method: keyof Methods;
  readonly params: unknown;
}

export type Response =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

async function answer(request: Request): Promise<void> {
  const method = methods[request.method] as (params: unknown) => unknown;
  let response: Response;
  try {
    response = { id: request.id, result: await method(request.params) };
  } catch (error) {
    response = { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(response);
}

process.on('message', (request: Request) => void answer(request));
process.on('disconnect', () => process.exit(0));
