import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { errorText, RoutyError } from '@routy/proto/base';

/** Most bytes of a request's body. The largest real one is some hundred. */
const BODY_BYTES_MAX = 16 * 1024;

/** Limits of every admin listener; the values of `http.createServer` and of the server itself. */
export const SERVER_OPTIONS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 5_000,
  keepAliveTimeout: 5_000,
} as const;

/** Connections one admin listener holds at once; a further one is closed. */
export const CONNECTIONS_MAX = 64;

/** What a route answers with. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export type Route = (body: unknown) => Promise<Reply> | Reply;

/** By `METHOD /path`. */
export type Routes = ReadonlyMap<string, Route>;

export function json(value: unknown, status = 200): Reply {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

export function text(body: string, status = 200, type = 'text/plain; charset=utf-8'): Reply {
  return { status, type, body };
}

/** Answers one request by its route; every failure becomes `{error:{code,message,hint}}`. */
export async function answer(
  routes: Routes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const reply = await findReply(routes, request).catch(errorReply);
  // After a refused body the rest of it is not read, so the connection cannot carry another request.
  const headers = request.complete ? {} : { connection: 'close' };
  response.writeHead(reply.status, {
    'content-type': reply.type,
    'content-length': Buffer.byteLength(reply.body),
    ...headers,
  });
  response.end(reply.body);
}

async function findReply(routes: Routes, request: IncomingMessage): Promise<Reply> {
  const method = request.method ?? 'GET';
  const path = (request.url ?? '/').split('?')[0]!;
  const route = routes.get(`${method} ${path}`);
  if (route !== undefined) return await route(await readBody(request));
  const known = [...routes.keys()].filter((key) => key.endsWith(` ${path}`));
  if (known.length > 0) {
    const allowed = known.map((key) => key.split(' ')[0]).join(', ');
    throw new HttpError(405, 'method-not-allowed', `${path} takes ${allowed}, not ${method}`);
  }
  throw new HttpError(
    404,
    'not-found',
    `there is no ${path}`,
    `known: ${[...routes.keys()].join(', ')}`,
  );
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) {
      throw new HttpError(413, 'too-large', `the body exceeds ${BODY_BYTES_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new HttpError(400, 'bad-request', `the body is not JSON: ${errorText(error)}`);
  }
}

/** A request that cannot be served, with the status that says so. */
export class HttpError extends RoutyError {
  readonly status: number;

  constructor(status: number, code: string, message: string, hint?: string) {
    super(code, message, hint === undefined ? {} : { hint });
    this.status = status;
  }
}

function errorReply(error: unknown): Reply {
  const code = error instanceof RoutyError ? error.code : 'internal';
  const hint = error instanceof RoutyError ? error.hint : undefined;
  return json({ error: { code, message: errorText(error), hint: hint ?? null } }, statusOf(error));
}

/** 422: the request was understood, and the node refused or could not do it. */
function statusOf(error: unknown): number {
  if (error instanceof HttpError) return error.status;
  return error instanceof RoutyError ? 422 : 500;
}

/** Stops listening and cuts what is still open. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
