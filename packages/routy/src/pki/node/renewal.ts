import type { X509Certificate } from 'node:crypto';
import type { Identity } from '@routy/proto/base';
import { parseCertificates } from '../certificate.ts';
import { ensureNextKey, readKeyWithPin } from '../key.ts';
import { certificatePin } from '../pin.ts';
import { readStateFile, statePaths } from '../state.ts';
import { requireBelongTogether } from './credentials.ts';

/** What a node has and what its next certificate is to have. */
export interface Renewal {
  readonly identity: Identity;
  readonly certificate: X509Certificate;
  readonly ca: X509Certificate;
  readonly caPem: string;
  /** Of the present certificate. */
  readonly keyPem: string;
  /** Of the next one: the same, or a new key that is stored beside it until then. */
  readonly nextKeyPem: string;
  readonly keyChanges: boolean;
}

/**
 * Reads what is to be renewed, in date or not. With `newKey` a key is made, once: a renewal that was
 * cut off goes on with the key it had.
 *
 * @throws RoutyError `state-missing`, and others of `loadCredentials` but for the dates
 */
export async function beginRenewal(stateDir: string, newKey: boolean): Promise<Renewal> {
  const paths = statePaths(stateDir);
  const missing = (path: string) => ({
    message: `there is nothing to renew: ${path} is missing`,
    hint: 'a node that was never enrolled joins: routy invite, then routy join',
  });
  const pem = await readStateFile(paths.nodeCert, missing(paths.nodeCert));
  const caPem = await readStateFile(paths.caCert, missing(paths.caCert));
  const [certificate] = parseCertificates(pem, paths.nodeCert);
  const [ca] = parseCertificates(caPem, paths.caCert);
  const keyPem = await readKeyWithPin(stateDir, certificatePin(certificate));
  const identity = requireBelongTogether({ certificate, ca, keyPem });
  const nextKeyPem = await ensureNextKey(stateDir, newKey);
  return {
    identity,
    certificate,
    ca,
    caPem,
    keyPem,
    nextKeyPem,
    keyChanges: nextKeyPem !== keyPem,
  };
}
