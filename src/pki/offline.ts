import { RoutyError } from '../base/errors.ts';
import { type IssuedCertificate, issueCertificate, openCa } from './ca.ts';
import { isIssuedBy, parseCertificates } from './certificate.ts';
import { type Clock, systemClock } from './clock.ts';
import { createCsr, csrFromPem, csrToPem, verifyCsr } from './csr.ts';
import { type Enrolled, installVerified, requireNotEnrolled } from './install.ts';
import { ensureNodeKey, publicKeyDer, readNodeKey } from './key.ts';
import { requireName } from './names.ts';
import { certificatePin, equalPins, spkiPin } from './pin.ts';
import { fileExists, readStateFile, statePaths } from './state.ts';

/**
 * First step without a network: makes this node's key and a request for its certificate.
 *
 * @throws RoutyError `already-enrolled`, `is-ca-node`, `name-invalid`, and those of the state
 *   directory
 */
export async function requestCertificate(options: {
  readonly stateDir: string;
  readonly site: string;
  readonly node: string;
  readonly now?: Clock;
}): Promise<{ readonly csrPem: string; readonly keyPin: string }> {
  const { stateDir } = options;
  const names = {
    site: requireName('site', options.site),
    node: requireName('node', options.node),
  };
  await requireNotEnrolled(stateDir, (options.now ?? systemClock)());
  const keyPem = await ensureNodeKey(stateDir);
  return {
    csrPem: csrToPem(await createCsr(keyPem, names)),
    keyPin: spkiPin(publicKeyDer(keyPem)),
  };
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
  await requireNotEnrolled(stateDir, nowMs);
  const [certificate, ca] = parseCertificates(options.pem, 'the file');
  if (ca === undefined || !isIssuedBy(ca, ca)) {
    throw new RoutyError('ca-missing', "the file lacks the CA's certificate after the node's", {
      hint: 'copy the whole file that routy cert issue wrote',
    });
  }
  await requireSameCa(stateDir, certificatePin(ca));
  return installVerified({
    stateDir,
    keyPem: await readNodeKey(stateDir),
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
