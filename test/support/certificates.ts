import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { TlsCredentials } from '../../packages/link/src/transport/lane.ts';
import { type Identity, identityUri } from '../../packages/proto/src/base/identity.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** A CA that lives for one test run. */
export interface TestCa {
  readonly fabric: string;
  readonly certPem: string;
  readonly keys: webcrypto.CryptoKeyPair;
  /** What stands between a node's certificate and the root, and the root; of a CA below another. */
  readonly chainPem?: string;
  readonly rootPem?: string;
}

export interface TestCertificateOptions {
  readonly site?: string;
  readonly node?: string;
  /** The fabric the certificate claims; the CA's own by default. */
  readonly fabric?: string;
  /** Days from now; -1 is yesterday. */
  readonly notBeforeDays?: number;
  readonly notAfterDays?: number;
  /** Instead of the one URI of the identity. */
  readonly uris?: readonly string[];
  /** What the extended key usage allows; there is none when it is left out. */
  readonly usages?: readonly ('clientAuth' | 'serverAuth' | 'emailProtection')[];
}

export async function testCa(fabric = 'fabric1', options: { name?: string } = {}): Promise<TestCa> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${options.name ?? `Routy test CA ${fabric}`}`,
    notBefore: new Date(Date.now() - 3 * DAY_MS),
    notAfter: new Date(Date.now() + 10 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { fabric, certPem: certificate.toString('pem'), keys };
}

/** A node's key and certificate, signed by `ca`. */
export async function testCredentials(
  ca: TestCa,
  options: TestCertificateOptions = {},
): Promise<TlsCredentials> {
  const identity: Identity = {
    fabric: options.fabric ?? ca.fabric,
    site: options.site ?? 'red',
    node: options.node ?? `${options.site ?? 'red'}1`,
  };
  const uris = options.uris ?? [identityUri(identity)];
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${identity.site}/${identity.node}`,
    issuer: issuerName(ca),
    notBefore: new Date(Date.now() + (options.notBeforeDays ?? -1) * DAY_MS),
    notAfter: new Date(Date.now() + (options.notAfterDays ?? 1) * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: ca.keys.privateKey,
    extensions: extensions(uris, options),
  });
  const leaf = certificate.toString('pem');
  return {
    identity,
    certChainPem: `${leaf}\n${ca.chainPem ?? ca.certPem}`,
    keyPem: await keyPem(keys.privateKey),
    caPem: ca.rootPem ?? ca.certPem,
  };
}

/** A CA below another one, which a fabric's CA does not allow. */
export async function testCaBelow(root: TestCa): Promise<TestCa> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: 'CN=Routy test CA below',
    issuer: issuerName(root),
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: root.keys.privateKey,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
  const certPem = certificate.toString('pem');
  const chainPem = `${certPem}\n${root.certPem}`;
  return { fabric: root.fabric, certPem, keys, chainPem, rootPem: root.certPem };
}

function extensions(uris: readonly string[], { usages }: TestCertificateOptions): Extension[] {
  const names = uris.map((value) => ({ type: 'url' as const, value }));
  const list: Extension[] = [new SubjectAlternativeNameExtension(names)];
  if (usages === undefined) return list;
  return [...list, new ExtendedKeyUsageExtension(usages.map((usage) => ExtendedKeyUsage[usage]))];
}

function issuerName(ca: TestCa): string {
  return new X509Certificate(ca.certPem).subject;
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').replace(/(.{64})/g, '$1\n');
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

function serialNumber(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex');
}
