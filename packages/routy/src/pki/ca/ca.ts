import { randomBytes, type X509Certificate } from 'node:crypto';
import { type Identity, identityUri, RoutyError } from '@routy/proto/base';
import { notAfterMs, parseCertificates, requireInDate } from '../certificate.ts';
import { DAY_MS, MINUTE_MS } from '../clock.ts';
import { generateKeyPem, publicKeyDer } from '../key.ts';
import { requireName } from '../names.ts';
import { certificatePin, equalPins, spkiPin } from '../pin.ts';
import {
  ensureDirectory,
  fileExists,
  PRIVATE_FILE_MODE,
  PUBLIC_FILE_MODE,
  readPrivateFile,
  readStateFile,
  statePaths,
  writeFileAtomic,
} from '../state.ts';
import { importKeyPair, loadX509, SIGNING_ALGORITHM } from '../x509.ts';
import { appendJournal, nameHolder, readJournal, standingEntries } from './journal.ts';

export const CA_LIFETIME_MS = 3650 * DAY_MS;
/** See docs/adr/0003-certificate-lifetime.md. */
export const NODE_LIFETIME_MS = 365 * DAY_MS;
/** Certificates begin this long ago, for nodes whose clock is behind. */
export const BACKDATE_MS = 5 * MINUTE_MS;

/** An opened CA: its key is in memory. */
export interface Ca {
  readonly stateDir: string;
  readonly fabric: string;
  readonly certificate: X509Certificate;
  readonly certificatePem: string;
  /** The pin of the CA's key. */
  readonly pin: string;
  readonly keyPem: string;
}

/**
 * Makes a new CA in the state directory: `ca.key` (0600) and `ca.crt`.
 *
 * @throws RoutyError `name-invalid`, `already-initialised`, and those of the state directory
 */
export async function createCa(options: {
  readonly stateDir: string;
  readonly fabric: string;
  readonly nowMs: number;
}): Promise<Ca> {
  const { stateDir, nowMs } = options;
  const fabric = requireName('fabric', options.fabric);
  const paths = statePaths(stateDir);
  await ensureDirectory(stateDir);
  for (const path of [paths.caKey, paths.caCert, paths.nodeCert]) {
    if (await fileExists(path)) throw alreadyInitialised(stateDir, path);
  }
  const keyPem = generateKeyPem();
  const certificatePem = await signCaCertificate(keyPem, fabric, nowMs);
  await writeFileAtomic(paths.caKey, keyPem, PRIVATE_FILE_MODE);
  await writeFileAtomic(paths.caCert, certificatePem, PUBLIC_FILE_MODE);
  return openCa(stateDir, nowMs);
}

function alreadyInitialised(stateDir: string, path: string): RoutyError {
  return new RoutyError('already-initialised', `${path} exists: ${stateDir} is in use already`, {
    hint: 'name an empty directory with --state; remove the old one only if its fabric is to be given up',
  });
}

/**
 * Opens the CA of this state directory.
 *
 * @throws RoutyError `not-ca` when there is none; `key-readable-by-others`, `ca-broken`,
 *   `certificate-expired` and those of the state directory
 */
export async function openCa(stateDir: string, nowMs: number): Promise<Ca> {
  const paths = statePaths(stateDir);
  if (!(await fileExists(paths.caKey))) {
    throw new RoutyError('not-ca', `there is no CA in ${stateDir} (no ca.key)`, {
      hint: "run this on the node where the fabric was made with routy init, as its user, or name that node's directory with --state",
    });
  }
  const keyPem = await readPrivateFile(paths.caKey, caMissing(paths.caKey));
  const certificatePem = await readStateFile(paths.caCert, caMissing(paths.caCert));
  const [certificate] = parseCertificates(certificatePem, paths.caCert);
  const pin = certificatePin(certificate);
  const fabric = /^O=(.+)$/m.exec(certificate.subject)?.[1];
  if (!certificate.ca || fabric === undefined || !equalPins(pin, spkiPin(publicKeyDer(keyPem)))) {
    throw new RoutyError('ca-broken', `${paths.caKey} and ${paths.caCert} do not belong together`, {
      hint: 'put both files back from the same backup',
    });
  }
  requireInDate(certificate, nowMs, "the fabric's CA certificate", 'make a new fabric: routy init');
  return { stateDir, fabric, certificate, certificatePem, pin, keyPem };
}

function caMissing(path: string): { message: string; hint: string } {
  return { message: `there is no ${path}`, hint: 'put it back from a backup of the CA' };
}

/** A certificate that was signed and journaled. */
export interface IssuedCertificate {
  readonly identity: Identity;
  readonly certificatePem: string;
  /** The node's certificate followed by the CA's: the content of `node.crt`. */
  readonly chainPem: string;
  readonly serial: string;
  readonly notAfterMs: number;
}

/**
 * Signs a certificate for the node and journals it before handing it out.
 *
 * @param request.spki DER SubjectPublicKeyInfo whose owner has proved possession
 * @param request.replace lets the key take over a name that another key has; the certificate of
 *   that other key stays valid until it expires
 * @throws RoutyError `name-invalid`, `node-name-taken`, and those of the state directory
 */
export async function issueCertificate(
  ca: Ca,
  request: {
    readonly site: string;
    readonly node: string;
    readonly spki: Uint8Array;
    readonly replace: boolean;
    readonly nowMs: number;
    readonly lifetimeMs?: number | undefined;
  },
): Promise<IssuedCertificate> {
  const { nowMs, replace } = request;
  const site = requireName('site', request.site);
  const node = requireName('node', request.node);
  const identity = { fabric: ca.fabric, site, node };
  const keyPin = spkiPin(request.spki);
  const holder = nameHolder(await readJournal(ca.stateDir), site, node);
  if (holder !== undefined && holder.keyPin !== keyPin && !replace) throw nameTaken(identity);

  const endMs = Math.min(
    nowMs + (request.lifetimeMs ?? NODE_LIFETIME_MS),
    notAfterMs(ca.certificate),
  );
  const certificatePem = await signNodeCertificate(ca, identity, request.spki, nowMs, endMs);
  const [certificate] = parseCertificates(certificatePem, 'the new certificate');
  const serial = certificate.serialNumber.toLowerCase();
  await appendJournal(ca.stateDir, {
    at: new Date(nowMs).toISOString(),
    serial,
    site,
    node,
    keyPin,
    notBefore: new Date(nowMs - BACKDATE_MS).toISOString(),
    notAfter: new Date(endMs).toISOString(),
    replace,
  });
  // Another process may have journaled the same name since it was looked up: the first one stands.
  const standing = standingEntries(await readJournal(ca.stateDir));
  if (!standing.some((entry) => entry.serial === serial)) throw nameTaken(identity);
  return {
    identity,
    certificatePem,
    chainPem: certificatePem + ca.certificatePem,
    serial,
    notAfterMs: notAfterMs(certificate),
  };
}

function nameTaken(identity: Identity): RoutyError {
  return new RoutyError(
    'node-name-taken',
    `the site ${identity.site} has a node ${identity.node} already, with another key`,
    {
      hint: 'choose another name with --node, or allow the takeover with --replace when the old node is gone',
    },
  );
}

async function signCaCertificate(keyPem: string, fabric: string, nowMs: number): Promise<string> {
  const x509 = await loadX509();
  const keys = await importKeyPair(keyPem);
  const flags = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=Routy CA, O=${fabric}`,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + CA_LIFETIME_MS),
    signingAlgorithm: SIGNING_ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(flags, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

async function signNodeCertificate(
  ca: Ca,
  identity: Identity,
  spki: Uint8Array,
  nowMs: number,
  endMs: number,
): Promise<string> {
  const x509 = await loadX509();
  const caKeys = await importKeyPair(ca.keyPem);
  const publicKey = new x509.PublicKey(Uint8Array.from(spki));
  const issuer = new x509.X509Certificate(ca.certificatePem).subjectName;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: `CN=${identity.node}, OU=${identity.site}, O=${identity.fabric}`,
    issuer,
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(endMs),
    signingAlgorithm: SIGNING_ALGORITHM,
    publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identityUri(identity) }]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** 16 random bytes, hexadecimal, kept positive and of full length (RFC 5280 §4.1.2.2). */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
