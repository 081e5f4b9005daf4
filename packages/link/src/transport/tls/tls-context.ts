import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { types } from 'node:util';
import { errorText } from '@routy/proto/base';
import type { TlsCredentials } from '../lane.ts';
import { LinkError } from '../link-error.ts';

/** ALPN of a lane: mutual TLS. */
export const ALPN_LANE = 'routy/1';
/** ALPN of an enrolment: the newcomer has no certificate yet. */
export const ALPN_ENROL = 'routy-enrol/1';

/**
 * The one TLS profile of Routy, for both ends and both ALPNs. AES-128-GCM first: the fastest where
 * the processor has AES instructions, and the order is the listener's to decide.
 *
 * No session is resumed: a resumed handshake (RFC 8446 §2.2) shows no certificate, and whether a
 * peer may still come in is decided afresh at every handshake. Node has no way to send no tickets
 * in TLS 1.3. With SSL_OP_NO_TICKET the two that are sent are references into a cache that node
 * does not keep, so they open nothing; without it they would hold the session itself.
 */
export const TLS_PROFILE = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384',
  honorCipherOrder: true,
  ecdhCurve: 'X25519:P-256:P-384',
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

/**
 * Key, certificate and the one trusted root, in the form node:tls takes.
 *
 * @throws RoutyError `credentials-invalid` when the key, certificate or CA cannot be used together
 */
export function secureContext(credentials: TlsCredentials): SecureContext {
  const known = contexts.get(credentials);
  if (known !== undefined) return known;
  const context = newContext(credentials);
  contexts.set(credentials, context);
  return context;
}

/** Reading keys and certificates costs as much as a handshake, and a peer may be dialled often. */
const contexts = new WeakMap<TlsCredentials, SecureContext>();

/**
 * The same in the form that a server of node:tls takes.
 *
 * @throws RoutyError `credentials-invalid`
 */
export function contextOptions(credentials: TlsCredentials): SecureContextOptions {
  // Fails with a clear message.
  secureContext(credentials);
  return optionsOf(credentials);
}

function optionsOf(credentials: TlsCredentials): SecureContextOptions {
  return {
    ...TLS_PROFILE,
    key: credentials.keyPem,
    cert: credentials.certChainPem,
    ca: credentials.caPem,
  };
}

/**
 * Without a key or certificate node:tls shows none, and leaves it to the other end to say so.
 *
 * @throws LinkError `credentials-invalid` when one is missing, without what was given: it may be a key
 */
export function expectPem(credentials: TlsCredentials): void {
  for (const name of ['certChainPem', 'keyPem', 'caPem'] as const) {
    const given: unknown = credentials[name];
    const isText = typeof given === 'string' || types.isUint8Array(given);
    if (isText && given.length > 0) continue;
    const fault = isText ? 'empty' : given === undefined ? 'missing' : 'no text';
    throw new LinkError('credentials-invalid', `${name} is ${fault}`, {
      hint: 'credentials are { identity, certChainPem, keyPem, caPem }, each the text of a PEM file',
    });
  }
}

function newContext(credentials: TlsCredentials): SecureContext {
  expectPem(credentials);
  try {
    return createSecureContext(optionsOf(credentials));
  } catch (error) {
    const { site, node } = credentials.identity;
    throw new LinkError(
      'credentials-invalid',
      `key and certificate of ${site}/${node} cannot be used: ${errorText(error)}`,
      {
        hint: 'give the text of PEM files, and the certificate that was issued for this key',
        cause: error,
      },
    );
  }
}
