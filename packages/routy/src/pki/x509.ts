import { webcrypto } from 'node:crypto';
import { RoutyError } from '@routy/proto/base';
import { parsePrivateKey, publicKeyDer } from './key.ts';

type X509 = typeof import('@peculiar/x509');

/** Every key of Routy: ECDSA on P-256, hashes SHA-256. */
export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' };

let loading: Promise<X509> | undefined;

/**
 * The library that writes certificates. A node that only runs never writes one, so the library's
 * start time and memory are spent at the first use.
 */
export function loadX509(): Promise<X509> {
  loading ??= load();
  return loading;
}

async function load(): Promise<X509> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  return x509;
}

/**
 * A private key in PEM as WebCrypto wants it.
 *
 * @throws RoutyError `key-broken`
 */
export async function importKeyPair(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const { subtle } = webcrypto;
  const pkcs8 = parsePrivateKey(keyPem).export({ format: 'der', type: 'pkcs8' });
  try {
    return {
      privateKey: await subtle.importKey('pkcs8', pkcs8, KEY_ALGORITHM, false, ['sign']),
      publicKey: await subtle.importKey('spki', publicKeyDer(keyPem), KEY_ALGORITHM, true, [
        'verify',
      ]),
    };
  } catch (error) {
    throw new RoutyError('key-broken', 'the private key is not an ECDSA key on P-256', {
      hint: 'put back the right key file from a backup, or enrol the node anew',
      cause: error,
    });
  }
}
