import type { TLSSocket } from 'node:tls';
import { errorText } from '@routy/proto/base';
import { systemCode } from '../failures.ts';
import { LinkError } from '../link-error.ts';
import { type ChainFault, judgeUnfinished } from './peer-identity.ts';
import { ALPN_LANE } from './tls-context.ts';

/** What went wrong in a TLS handshake, in a word. */
export type HandshakeFault = 'not-tls' | 'tls-version' | 'alpn' | 'closed' | 'tls-failed';

/** Why a TLS handshake came to nothing; in the words for people it has two functions beside it. */
export interface HandshakeFailure {
  /** Stable; part of the codes of refusals and, behind `tls-`, of errors. */
  readonly code: HandshakeFault | 'peer-not-verified';
  /** What is wrong with the certificate, what is spoken instead, or what OpenSSL says; may be empty. */
  readonly detail: string;
  /** What about its certificate, in a word that is the same each time. */
  readonly cause?: ChainFault | undefined;
}

const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_UNKNOWN_PROTOCOL',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_ENCRYPTED_LENGTH_TOO_LONG',
  'ERR_SSL_DATA_LENGTH_TOO_LONG',
  'ERR_SSL_RECORD_TOO_SMALL',
  'ERR_SSL_UNEXPECTED_MESSAGE',
  'ERR_SSL_BAD_RECORD_TYPE',
  'ERR_SSL_LENGTH_TOO_SHORT',
  'ERR_SSL_LENGTH_MISMATCH',
]);

const WRONG_TLS_VERSION: ReadonlySet<string> = new Set([
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_VERSION_TOO_LOW',
]);

const NO_ALPN: ReadonlySet<string> = new Set([
  'ERR_SSL_NO_APPLICATION_PROTOCOL',
  'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
]);

/** What went wrong in a TLS handshake, from either end, by the error's code. */
export function handshakeFault(error: unknown): HandshakeFault {
  const code = systemCode(error);
  if (NOT_TLS.has(code)) return 'not-tls';
  if (WRONG_TLS_VERSION.has(code)) return 'tls-version';
  if (NO_ALPN.has(code)) return 'alpn';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'closed';
  return 'tls-failed';
}

/** A handshake that this end dialled for, and that node:tls gave up with `error`. */
export function dialledFault(error: unknown): HandshakeFailure {
  return { code: handshakeFault(error), detail: tlsErrorText(error) };
}

/**
 * A handshake with somebody who dialled, and that node:tls gave up with `error`.
 *
 * @param options.caPem what its certificate has to be signed by, if it needs one
 * @param options.protocols the ALPN names that are spoken here
 */
export function acceptedFault(
  error: unknown,
  socket: TLSSocket,
  options: { readonly caPem: string | undefined; readonly protocols: readonly string[] },
): HandshakeFailure {
  const code = handshakeFault(error);
  if (code === 'alpn') return noCommonProtocol(options.protocols);
  const verdict = options.caPem === undefined ? undefined : judgeUnfinished(socket, options.caPem);
  if (code !== 'tls-failed' || verdict === undefined) return { code, detail: tlsErrorText(error) };
  return { code: 'peer-not-verified', detail: verdict.reason, cause: verdict.fault };
}

/** It was dialled with none of the ALPN names that are spoken here. */
export function noCommonProtocol(protocols: readonly string[]): HandshakeFailure {
  const detail =
    protocols.length === 1
      ? `does not offer ${protocols[0]}`
      : `offers neither ${protocols.join(' nor ')}`;
  return { code: 'alpn', detail };
}

/** For whoever dialled `label` (`host:port`). */
export function dialFailure(label: string, { code, detail }: HandshakeFailure): LinkError {
  switch (code) {
    case 'peer-not-verified':
      return new LinkError('peer-not-verified', `${label} is not trusted: ${detail}`, {
        hint: 'both nodes need certificates of the same CA and fabric',
      });
    case 'not-tls':
      return new LinkError('tls-not-tls', `what answers at ${label} does not speak TLS`, {
        hint: 'check the port: it must be one that a node listens on',
      });
    case 'tls-version':
      return new LinkError('tls-version', `${label} does not offer TLS 1.3`, {
        hint: 'something on the way may be ending the TLS connection',
      });
    case 'alpn':
      return new LinkError('tls-alpn', `${label} speaks TLS but not ${ALPN_LANE}`, {
        hint: 'check the port: it must be one that a node listens on',
      });
    case 'closed':
      return new LinkError('tls-closed', `${label} hung up during the TLS handshake`, {
        hint: 'its log says why, if it is a node; it may be overloaded or stopping',
      });
    default:
      return new LinkError('tls-failed', `TLS handshake with ${label} failed: ${detail}`);
  }
}

/** For the log of whoever was dialled: one line. */
export function refusalText({ code, detail }: HandshakeFailure): string {
  switch (code) {
    case 'peer-not-verified':
      return detail;
    case 'not-tls':
      return `not TLS (${detail})`;
    case 'tls-version':
      return 'the client does not offer TLS 1.3';
    case 'alpn':
      return `the client ${detail}`;
    case 'closed':
      return 'hung up during the TLS handshake';
    default:
      return `TLS handshake failed: ${detail}`;
  }
}

/**
 * OpenSSL's message without its file and line: `80AC…:error:0A00009C:SSL routines:…:http request:…`
 * becomes `http request`.
 */
function tlsErrorText(error: unknown): string {
  const reason = (error as { reason?: unknown } | null)?.reason;
  return typeof reason === 'string' ? reason : errorText(error).trim();
}
