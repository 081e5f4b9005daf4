import { createPublicKey } from 'node:crypto';
import { isName, RoutyError } from '@routy/proto/base';
import { isP256 } from './key.ts';
import { requireName } from './names.ts';
import { spkiPin } from './pin.ts';
import { importKeyPair, loadX509, SIGNING_ALGORITHM } from './x509.ts';

/** A certificate request (PKCS#10, RFC 2986) whose signature proves possession of the key. */
export interface VerifiedCsr {
  readonly der: Buffer;
  /** DER SubjectPublicKeyInfo, P-256. */
  readonly spki: Buffer;
  readonly keyPin: string;
  /** The CN of the subject: the name the node asks for. */
  readonly node: string | undefined;
  /** The OU of the subject: the site the node asks for. */
  readonly site: string | undefined;
}

/** Most bytes of a request in DER; real ones have about 250. */
const CSR_BYTES_MAX = 4096;

/**
 * A request for `CN=node, OU=site` signed with the key.
 *
 * @returns DER
 * @throws RoutyError `name-invalid`, `key-broken`
 */
export async function createCsr(
  keyPem: string,
  names: { readonly node: string; readonly site?: string | undefined },
): Promise<Buffer> {
  const x509 = await loadX509();
  const node = requireName('node', names.node);
  const site = names.site === undefined ? '' : `, OU=${requireName('site', names.site)}`;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${node}${site}`,
    keys: await importKeyPair(keyPem),
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return Buffer.from(request.rawData);
}

/** The PEM form of a request. */
export function csrToPem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

/**
 * The DER in a PEM request.
 *
 * @throws RoutyError `csr-broken`
 */
export function csrFromPem(pem: string): Buffer {
  const match =
    /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----/.exec(
      pem,
    );
  if (match === null) throw broken('it is not PEM with BEGIN CERTIFICATE REQUEST');
  return Buffer.from(match[1]!, 'base64');
}

/**
 * Reads a request from anybody and checks its signature and key.
 *
 * @throws RoutyError `csr-broken`, `csr-signature-wrong`, `csr-key-unsupported`
 */
export async function verifyCsr(der: Uint8Array): Promise<VerifiedCsr> {
  if (der.length > CSR_BYTES_MAX) throw broken(`it has ${der.length} bytes`);
  const x509 = await loadX509();
  let spki: Buffer;
  let verified: boolean;
  let names: { node: string | undefined; site: string | undefined };
  try {
    const request = new x509.Pkcs10CertificateRequest(Uint8Array.from(der));
    spki = Buffer.from(request.publicKey.rawData);
    requireSupportedKey(spki);
    verified = await request.verify();
    names = {
      node: onlyName(request.subjectName.getField('CN')),
      site: onlyName(request.subjectName.getField('OU')),
    };
  } catch (error) {
    throw error instanceof RoutyError ? error : broken('it cannot be decoded', error);
  }
  if (!verified) {
    throw new RoutyError(
      'csr-signature-wrong',
      'the certificate request is not signed by the key it names',
      { hint: 'make a new one with routy cert request' },
    );
  }
  return { der: Buffer.from(der), spki, keyPin: spkiPin(spki), ...names };
}

function requireSupportedKey(spki: Buffer): void {
  if (isP256(createPublicKey({ key: spki, format: 'der', type: 'spki' }))) return;
  throw new RoutyError(
    'csr-key-unsupported',
    'the key of the certificate request is not ECDSA on P-256',
    { hint: 'make the key and the request with routy cert request' },
  );
}

function onlyName(values: readonly string[]): string | undefined {
  const [value] = values;
  return values.length === 1 && value !== undefined && isName(value) ? value : undefined;
}

function broken(why: string, cause?: unknown): RoutyError {
  return new RoutyError('csr-broken', `the certificate request cannot be read: ${why}`, {
    hint: 'make a new one with routy cert request and copy the file in full',
    cause,
  });
}
