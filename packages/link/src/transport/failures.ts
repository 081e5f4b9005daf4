import { errorText, type RoutyError } from '@routy/proto/base';
import { LinkError } from './link-error.ts';

/** The system or OpenSSL code of a caught value (`ECONNREFUSED`, `ERR_SSL_…`), '' when it has none. */
export function systemCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** What this machine ran out of: nothing the peer or the network could mend. */
const EXHAUSTED: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EAGAIN']);

const UNREACHABLE: ReadonlySet<string> = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EACCES',
  'EPERM',
  'EAFNOSUPPORT',
  // No address here to come from: IPv6 is switched off, or every local port is taken.
  'EADDRNOTAVAIL',
]);

function isExhausted(code: string): boolean {
  return EXHAUSTED.has(code);
}

/** A failed TCP connect to `label` as a RoutyError `dial-…`. */
export function connectFailure(label: string, error: unknown): LinkError {
  const code = systemCode(error);
  const text = `cannot connect to ${label}: ${errorText(error)}`;
  if (isExhausted(code)) return exhausted(text, error);
  if (code === 'ECONNREFUSED') {
    return new LinkError('dial-refused', text, {
      hint: 'nothing listens on that port, or a firewall on the way refuses it',
      cause: error,
    });
  }
  if (code === 'ETIMEDOUT') return new LinkError('dial-timeout', text, { cause: error });
  if (UNREACHABLE.has(code)) {
    return new LinkError('dial-unreachable', text, {
      hint: 'check the route to that address and the firewall of this machine',
      cause: error,
    });
  }
  return new LinkError('dial-failed', text, { cause: error });
}

/** A failed connect to the unix socket at `path` as a RoutyError `dial-…`. */
export function unixConnectFailure(path: string, error: unknown): LinkError {
  const code = systemCode(error);
  const text = `cannot connect to unix:${path}: ${errorText(error)}`;
  const hint = UNIX_CAUSES[code];
  if (hint !== undefined) return new LinkError('dial-refused', text, { hint, cause: error });
  if (isExhausted(code)) return exhausted(text, error);
  return new LinkError('dial-failed', text, { cause: error });
}

const NO_SOCKET = 'there is no socket at that path: start the other end, or check the path';
const NOT_ALLOWED =
  'the socket, or a directory on the way, belongs to another user: run as the user of the other end';

/** What to do about a system error of connecting to a unix socket. */
const UNIX_CAUSES: Readonly<Record<string, string>> = {
  ENOENT: NO_SOCKET,
  ENOTDIR: NO_SOCKET,
  // Linux says the same of a file that is no socket; others have a name for that.
  ECONNREFUSED: 'nobody listens there: start the other end, or check that the path is a socket',
  ENOTSOCK: 'that file is no socket: check the path',
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  // Nothing is short here: the other end's queue is full.
  EAGAIN: 'the other end does not accept its connections: see whether it hangs',
};

/** A failed name lookup as a RoutyError `dial-resolve` or `dial-exhausted`. */
export function resolveFailure(host: string, error: unknown): RoutyError {
  const code = systemCode(error);
  const text =
    code === 'EAI_AGAIN'
      ? `the name server did not answer for ${host}`
      : `cannot resolve ${host}: ${errorText(error)}`;
  if (isExhausted(code)) return exhausted(text, error);
  const hint =
    code === 'ENOTFOUND'
      ? 'check the spelling of the name'
      : 'check the name servers of this machine';
  return new LinkError('dial-resolve', text, { hint, cause: error });
}

/** Nobody answered for the name in time: another matter than an address that does not answer. */
export function nameServerSilent(host: string, ms: number): RoutyError {
  return new LinkError(
    'dial-resolve',
    `the name server did not answer for ${host} within ${ms} ms`,
    { hint: 'check the name servers of this machine' },
  );
}

function exhausted(text: string, error: unknown): LinkError {
  return new LinkError('dial-exhausted', text, {
    hint: 'this machine is out of file descriptors or memory; raise LimitNOFILE or find what holds them',
    cause: error,
  });
}

/** Why an established lane broke, as a RoutyError `lane-…`. */
export function laneFailure(remoteAddress: string, error: unknown): RoutyError {
  const code = systemCode(error);
  const options = { cause: error };
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') {
    return new LinkError('lane-reset', `lane to ${remoteAddress} was reset by the peer`, options);
  }
  if (code === 'ETIMEDOUT') {
    const text = `lane to ${remoteAddress} timed out: the peer no longer acknowledges`;
    return new LinkError('lane-timeout', text, options);
  }
  const text = `lane to ${remoteAddress} failed: ${errorText(error)}`;
  if (UNREACHABLE.has(code)) return new LinkError('lane-unreachable', text, options);
  // TLS found a record that is not what the peer sent.
  if (code.startsWith('ERR_SSL_')) return new LinkError('lane-corrupt', text, options);
  return new LinkError('lane-failed', text, options);
}
