/** Routy's TLS profile, for the others. */
import type { TLSSocket } from 'node:tls';
import type { TlsCredentials } from '../../../packages/link/src/transport/tls/credentials.ts';
import { TLS_PROFILE } from '../../../packages/link/src/transport/tls/tls-context.ts';

export const CIPHER = 'TLS_AES_128_GCM_SHA256';

export function serverTls({ keyPem, certChainPem, caPem }: TlsCredentials) {
  return {
    ...TLS_PROFILE,
    key: keyPem,
    cert: certChainPem,
    ca: caPem,
    requestCert: true,
    rejectUnauthorized: true,
  };
}

/** Certificates name nodes and no hosts: that the CA has signed one is what is checked. */
export function clientTls({ keyPem, certChainPem, caPem }: TlsCredentials) {
  return {
    ...TLS_PROFILE,
    key: keyPem,
    cert: certChainPem,
    ca: caPem,
    checkServerIdentity: () => undefined,
  };
}

/** @throws when the connection is not what is compared */
export function expectProfile(socket: TLSSocket): void {
  const [version, cipher] = [socket.getProtocol(), socket.getCipher().standardName];
  if (version === 'TLSv1.3' && cipher === CIPHER && socket.authorized) return;
  throw new Error(`a connection of ${version} and ${cipher}, authorized: ${socket.authorized}`);
}
