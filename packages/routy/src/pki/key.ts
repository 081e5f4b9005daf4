import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RoutyError } from '@routy/proto/base';
import { equalPins, spkiPin } from './pin.ts';
import {
  ensureDirectory,
  fileExists,
  PRIVATE_FILE_MODE,
  readPrivateFile,
  statePaths,
  syncDirectory,
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

/**
 * The private key (PEM) with this pin: `node.key`, or the key of a renewal that a crash cut off
 * between certificate and key, which is finished here. `node.key` when none has it.
 *
 * @throws RoutyError as {@link readNodeKey}, `key-broken`
 */
export async function readKeyWithPin(stateDir: string, pin: string): Promise<string> {
  const { nextKey } = statePaths(stateDir);
  const keyPem = await readNodeKey(stateDir);
  if (hasPin(keyPem, pin) || !(await fileExists(nextKey))) return keyPem;
  const nextPem = await readNextKey(stateDir);
  if (!hasPin(nextPem, pin)) return keyPem;
  // Read all the same where the directory cannot be written; the next one to come tries again.
  await promoteNextKey(stateDir).catch(() => undefined);
  return nextPem;
}

/** The key that the next certificate is to have: a new one when asked for or begun before. */
export async function ensureNextKey(stateDir: string, newKey: boolean): Promise<string> {
  const { nextKey } = statePaths(stateDir);
  if (await fileExists(nextKey)) return readNextKey(stateDir);
  if (!newKey) return readNodeKey(stateDir);
  const keyPem = generateKeyPem();
  await writeFileAtomic(nextKey, keyPem, PRIVATE_FILE_MODE);
  return keyPem;
}

/** Puts the new key in the place of the old one, when there is a new one. */
export async function promoteNextKey(stateDir: string): Promise<void> {
  const { nextKey, nodeKey } = statePaths(stateDir);
  if (!(await fileExists(nextKey))) return;
  await rename(nextKey, nodeKey);
  await syncDirectory(dirname(nodeKey));
}

function readNextKey(stateDir: string): Promise<string> {
  const { nextKey } = statePaths(stateDir);
  return readPrivateFile(nextKey, {
    message: `there is no private key ${nextKey}`,
    hint: 'begin the renewal again: routy cert renew --new-key',
  });
}

function hasPin(keyPem: string, pin: string): boolean {
  return equalPins(spkiPin(publicKeyDer(keyPem)), pin);
}
