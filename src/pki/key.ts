import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { RoutyError } from '../base/errors.ts';
import {
  ensureDirectory,
  fileExists,
  PRIVATE_FILE_MODE,
  readPrivateFile,
  statePaths,
  writeFileAtomic,
} from './state.ts';

/** A new ECDSA P-256 private key, PKCS#8 PEM. */
export function generateKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return privateKey;
}

/** @throws RoutyError `key-broken` */
export function parsePrivateKey(keyPem: string): KeyObject {
  try {
    return createPrivateKey(keyPem);
  } catch (error) {
    throw new RoutyError('key-broken', 'the private key is not a PEM key that can be read', {
      hint: 'put back the right key file from a backup, or enrol the node anew',
      cause: error,
    });
  }
}

/**
 * The DER SubjectPublicKeyInfo of a private key.
 *
 * @throws RoutyError `key-broken`
 */
export function publicKeyDer(keyPem: string): Buffer {
  return createPublicKey(parsePrivateKey(keyPem)).export({ format: 'der', type: 'spki' });
}

/** True for a P-256 public key, the only kind that Routy certifies. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/**
 * The node's private key (PEM), made and stored when there is none. One that is there is kept: an
 * enrolment that was cut off can then be repeated under the same name.
 *
 * @throws RoutyError of the state directory
 */
export async function ensureNodeKey(stateDir: string): Promise<string> {
  await ensureDirectory(stateDir);
  const { nodeKey } = statePaths(stateDir);
  if (await fileExists(nodeKey)) return readNodeKey(stateDir);
  const keyPem = generateKeyPem();
  await writeFileAtomic(nodeKey, keyPem, PRIVATE_FILE_MODE);
  return keyPem;
}

/** @throws RoutyError `state-missing`, `key-readable-by-others` and others of the state directory */
export async function readNodeKey(stateDir: string): Promise<string> {
  const { nodeKey } = statePaths(stateDir);
  return readPrivateFile(nodeKey, {
    message: `there is no private key ${nodeKey}`,
    hint: 'enrol this node first: routy init, routy join, routy up --await-adoption or routy cert request',
  });
}
