import { certificateIdentity } from '@routy/link/transport';
import { type Identity, identityUri, RoutyError } from '@routy/proto/base';
import { type IssuedCertificate, issueCertificate, openCa } from '../ca/ca.ts';
import { isIssuedBy, parseCertificates } from '../certificate.ts';
import { type Clock, systemClock } from '../clock.ts';
import { createCsr, csrFromPem, csrToPem, verifyCsr } from '../csr.ts';
import { ensureNextKey, ensureNodeKey, publicKeyDer, readNodeKey } from '../key.ts';
import { requireName } from '../names.ts';
import { certificatePin, equalPins, spkiPin } from '../pin.ts';
import { fileExists, readStateFile, statePaths } from '../state.ts';
import { type Enrolled, installVerified, requireNotEnrolled } from './install.ts';
import { beginRenewal } from './renewal.ts';

/**
 * First step without a network: makes this node's key and a request for its certificate.
 *
 * @throws RoutyError `already-enrolled`, `is-ca-node`, `name-invalid`, and those of the state
 *   directory
 */
export async function requestCertificate(options: {
  readonly stateDir: string;
  /** Left out, with `node`, to renew the certificate that there is. */
  readonly site?: string | undefined;
  readonly node?: string | undefined;
  /** Renews with a new key. */
  readonly newKey?: boolean | undefined;
  readonly now?: Clock;
}): Promise<CertificateRequest> {
  const { stateDir, site, node } = options;
  const present = await presentIdentity(stateDir);
  const renews =
    present !== undefined &&
    (site ?? present.site) === present.site &&
    (node ?? present.node) === present.node;
  if (renews) {
    const { nextKeyPem, keyChanges } = await beginRenewal(stateDir, options.newKey === true);
    return requestFor(nextKeyPem, present, keyChanges);
  }
  if (site === undefined || node === undefined) {
    throw new RoutyError('csr-names-missing', 'this node has no certificate with its names yet', {
      hint: 'name them: routy cert request --site SITE --node NAME',
    });
  }
  const names = { site: requireName('site', site), node: requireName('node', node) };
  await requireNotEnrolled(stateDir, (options.now ?? systemClock)());
  return requestFor(await ensureNodeKey(stateDir), names, false);
}

export interface CertificateRequest {
  readonly csrPem: string;
  readonly keyPin: string;
  readonly site: string;
  readonly node: string;
  /** The name has another key until now: the CA's node has to be told with `--replace`. */
  readonly keyChanges: boolean;
}

async function requestFor(
  keyPem: string,
  { site, node }: { readonly site: string; readonly node: string },
  keyChanges: boolean,
): Promise<CertificateRequest> {
  const csrPem = csrToPem(await createCsr(keyPem, { site, node }));
  return { csrPem, keyPin: spkiPin(publicKeyDer(keyPem)), site, node, keyChanges };
}

/** Who this node is by the certificate it has, in date or not. */
async function presentIdentity(stateDir: string): Promise<Identity | undefined> {
  const { nodeCert } = statePaths(stateDir);
  if (!(await fileExists(nodeCert))) return undefined;
  const pem = await readStateFile(nodeCert, { message: `no ${nodeCert}`, hint: 'try again' });
  return certificateIdentity(parseCertificates(pem, nodeCert)[0]);
}

/**
 * Second step, on the CA's node: signs the request for the site and node that it names.
 *
 * @returns `chainPem` is what the node installs
 * @throws RoutyError `not-ca`, `csr-broken`, `csr-signature-wrong`, `csr-key-unsupported`,
 *   `csr-names-missing`, `node-name-taken`
 */
export async function issueFromCsr(options: {
  readonly stateDir: string;
  readonly csrPem: string;
  readonly replace?: boolean | undefined;
  readonly now?: Clock;
}): Promise<IssuedCertificate> {
  const nowMs = (options.now ?? systemClock)();
  const ca = await openCa(options.stateDir, nowMs);
  const { site, node, spki } = await verifyCsr(csrFromPem(options.csrPem));
  if (site === undefined || node === undefined) {
    throw new RoutyError(
      'csr-names-missing',
      'the request does not name a site (OU) and node (CN)',
      {
        hint: 'make it with routy cert request --site SITE --node NAME',
      },
    );
  }
  return issueCertificate(ca, { site, node, spki, replace: options.replace ?? false, nowMs });
}

/**
 * Third step, on the node again: checks what the CA's node issued and stores it. The CA is taken
 * from the same text, after the certificate; whoever installs the file vouches for it.
 *
 * @throws RoutyError `ca-missing`, `ca-mismatch`, `key-mismatch`, `certificate-broken`,
 *   `certificate-expired`, `already-enrolled`, `is-ca-node`, and those of the state directory
 */
export async function installCertificate(options: {
  readonly stateDir: string;
  readonly pem: string;
  readonly now?: Clock;
}): Promise<Enrolled> {
  const { stateDir } = options;
  const nowMs = (options.now ?? systemClock)();
  const [certificate, ca] = parseCertificates(options.pem, 'the file');
  const present = await presentIdentity(stateDir);
  const named = certificateIdentity(certificate);
  const renews =
    present !== undefined && named !== undefined && identityUri(present) === identityUri(named);
  if (!renews) await requireNotEnrolled(stateDir, nowMs);
  if (ca === undefined || !isIssuedBy(ca, ca)) {
    throw new RoutyError('ca-missing', "the file lacks the CA's certificate after the node's", {
      hint: 'copy the whole file that routy cert issue wrote',
    });
  }
  await requireSameCa(stateDir, certificatePin(ca));
  return installVerified({
    stateDir,
    keyPem: await readInstallKey(stateDir, certificatePin(certificate)),
    certificatePem: certificate.toString(),
    caPem: ca.toString(),
    expected: {},
    nowMs,
  });
}

async function requireSameCa(stateDir: string, pin: string): Promise<void> {
  const { caCert } = statePaths(stateDir);
  if (!(await fileExists(caCert))) return;
  const pem = await readStateFile(caCert, { message: `no ${caCert}`, hint: 'try again' });
  const [known] = parseCertificates(pem, caCert);
  if (equalPins(certificatePin(known), pin)) return;
  throw new RoutyError('ca-mismatch', `the file comes from another CA than ${caCert}`, {
    hint: `if the node is to move to that fabric, first move ${caCert} away`,
  });
}

/** The key that the certificate was made for, where this node has it. It is not put in place yet. */
async function readInstallKey(stateDir: string, pin: string): Promise<string> {
  const keyPem = await readNodeKey(stateDir);
  if (equalPins(spkiPin(publicKeyDer(keyPem)), pin)) return keyPem;
  return ensureNextKey(stateDir, false);
}
