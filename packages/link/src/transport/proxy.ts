import { request } from 'node:http';
import type { Socket } from 'node:net';
import { errorText, formatHostPort, type RoutyError, type TcpAddress } from '@routy/proto/base';
import { SocksClient } from 'socks';
import { abortReason, onAbort } from './deadline.ts';
import { systemCode } from './failures.ts';
import { LinkError } from './link-error.ts';

/** A proxy on the way to a peer. */
export interface DialProxy {
  readonly kind: 'http' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

const DEFAULT_PORT = { http: 80, socks5: 1080 } as const;

/** Most bytes of a proxy's answer head. */
const ANSWER_BYTES_MAX = 16 * 1024;

/** Longest piece of a proxy's own words that goes into a message. */
const QUOTE_CHARS_MAX = 120;

/**
 * The library wants a deadline of its own, and holds on to the socket until then even when all is
 * over. Ours, by signal, come first: this is longer than all steps of dialling together.
 */
const SOCKS_TIMEOUT_MS = 15_000;

/**
 * Reads `http://[user:pass@]host[:port]` or `socks5://…`; user and password percent-encoded.
 *
 * @throws RoutyError `dial-proxy-invalid`; the message never repeats the password
 */
export function parseProxy(via: string): DialProxy {
  let url: URL;
  try {
    url = new URL(via);
  } catch {
    throw invalid('it is not a URL');
  }
  const kind = url.protocol.slice(0, -1);
  if (kind !== 'http' && kind !== 'socks5') throw invalid(`"${kind}" is not a kind of proxy`);
  if (url.hostname === '') throw invalid('it has no host');
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw invalid('nothing may follow the port');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? DEFAULT_PORT[kind] : Number(url.port);
  return { kind, host, port, user: decoded(url.username), password: decoded(url.password) };
}

function decoded(text: string): string | undefined {
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('user or password is not percent-encoded');
  }
}

function invalid(reason: string): RoutyError {
  return new LinkError('dial-proxy-invalid', `the proxy in "via" cannot be used: ${reason}`, {
    hint: 'write http://[user:pass@]host:port or socks5://[user:pass@]host:port',
  });
}

/**
 * Asks the proxy at the other end of `socket` to connect to `target`, by name: the proxy resolves
 * it. Resolves with the socket, whose bytes go to the target from then on; it is destroyed when this
 * fails.
 *
 * @throws RoutyError `dial-proxy-refused` with the proxy's answer, or what `signal` fired with
 */
export async function connectThrough(
  socket: Socket,
  proxy: DialProxy,
  target: TcpAddress,
  signal: AbortSignal,
): Promise<Socket> {
  // A failing socket speaks through the request that runs over it; this keeps its `error` event
  // from being nobody's.
  const ignore = () => undefined;
  socket.on('error', ignore);
  const stop = () => socket.destroy();
  onAbort(signal, stop);
  try {
    if (signal.aborted) throw abortReason(signal);
    const ask = proxy.kind === 'http' ? askHttp : askSocks;
    const tunnel = await ask(socket, proxy, target);
    if (signal.aborted) throw abortReason(signal);
    return tunnel;
  } catch (error) {
    socket.destroy();
    throw signal.aborted ? abortReason(signal) : error;
  } finally {
    signal.removeEventListener('abort', stop);
    // The next owner listens before anything can fail: both happen in this turn.
    setImmediate(() => socket.off('error', ignore));
  }
}

/** HTTP CONNECT (RFC 9110 §9.3.6). */
function askHttp(socket: Socket, proxy: DialProxy, target: TcpAddress): Promise<Socket> {
  const path = formatHostPort(target.host, target.port);
  const headers: Record<string, string> = { host: path };
  if (proxy.user !== undefined) {
    const userPass = `${proxy.user}:${proxy.password ?? ''}`;
    headers['proxy-authorization'] = `Basic ${Buffer.from(userPass).toString('base64')}`;
  }
  return new Promise((resolve, reject) => {
    const asked = request({
      method: 'CONNECT',
      path,
      headers,
      maxHeaderSize: ANSWER_BYTES_MAX,
      // Also keeps the request away from every agent.
      createConnection: () => socket,
    });
    asked.once('connect', (response, tunnel, head) => {
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 299) {
        const words = quote(`${status} ${response.statusMessage ?? ''}`);
        return reject(refused(proxy, target, `it answered ${words}`, httpHint(status)));
      }
      if (head.length > 0) tunnel.unshift(head);
      resolve(tunnel as Socket);
    });
    // `CONNECT` is answered by `connect` whatever the status; `response` would mean a broken parser.
    asked.once('error', (error) => reject(refused(proxy, target, httpFault(error), undefined)));
    asked.end();
  });
}

function httpFault(error: unknown): string {
  const code = systemCode(error);
  if (code === 'HPE_HEADER_OVERFLOW') return `its answer is longer than ${ANSWER_BYTES_MAX} bytes`;
  if (code.startsWith('HPE_')) return 'its answer is not HTTP';
  if (code === 'ECONNRESET') return 'it closed the connection without an answer';
  return errorText(error);
}

function httpHint(status: number): string | undefined {
  if (status === 407) return 'put user and password into "via": http://user:pass@host:port';
  if (status === 403 || status === 405) return "the proxy's rules must allow CONNECT to that port";
  if (status >= 500) return 'the proxy itself cannot reach the peer';
  return undefined;
}

/** SOCKS5 (RFC 1928) with user and password (RFC 1929). */
async function askSocks(socket: Socket, proxy: DialProxy, target: TcpAddress): Promise<Socket> {
  try {
    const { socket: tunnel } = await SocksClient.createConnection({
      command: 'connect',
      destination: { host: target.host, port: target.port },
      proxy: {
        type: 5,
        host: proxy.host,
        port: proxy.port,
        ...(proxy.user === undefined ? {} : { userId: proxy.user, password: proxy.password ?? '' }),
      },
      existing_socket: socket,
      timeout: SOCKS_TIMEOUT_MS,
    });
    return tunnel;
  } catch (error) {
    const words = errorText(error);
    const hint = /auth/i.test(words)
      ? 'put user and password into "via": socks5://user:pass@host:port'
      : undefined;
    throw refused(proxy, target, `SOCKS5: ${quote(words)}`, hint);
  }
}

function refused(
  proxy: DialProxy,
  target: TcpAddress,
  reason: string,
  hint: string | undefined,
): RoutyError {
  const from = `proxy ${formatHostPort(proxy.host, proxy.port)}`;
  const to = formatHostPort(target.host, target.port);
  return new LinkError(
    'dial-proxy-refused',
    `${from} did not connect to ${to}: ${reason}`,
    hint === undefined ? {} : { hint },
  );
}

/** A stranger's words, made fit for one line of log. */
function quote(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, QUOTE_CHARS_MAX);
}
