import { type Identity, identityUri, RoutyError } from '@routy/proto/base';
import { notAfterMs, parseCertificates, requireInDate } from '../certificate.ts';
import { readKeyWithPin } from '../key.ts';
import { certificatePin } from '../pin.ts';
import {
  ensureDirectory,
  fileExists,
  PUBLIC_FILE_MODE,
  readStateFile,
  statePaths,
  writeFileAtomic,
} from '../state.ts';
import { requireBelongTogether } from './credentials.ts';

const CLOCK_HINT =
  "compare the clocks of this machine and the CA's node (timedatectl), then enrol again";

/** What a node got when it was enrolled. */
export interface Enrolled {
  readonly identity: Identity;
  /** The pin of the fabric CA's key. */
  readonly caPin: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly notAfterMs: number;
}

/**
 * Checks that nothing in the state directory would be lost by enrolling this node.
 *
 * @throws RoutyError `already-enrolled` unless the certificate has expired; `is-ca-node`
 */
export async function requireNotEnrolled(stateDir: string, nowMs: number): Promise<void> {
  const paths = statePaths(stateDir);
  if (await fileExists(paths.caKey)) {
    throw new RoutyError('is-ca-node', `${stateDir} holds the CA of a fabric`, {
      hint: 'a node with a CA cannot enrol in another fabric: name an empty directory with --state',
    });
  }
  if (!(await fileExists(paths.nodeCert))) return;
  const pem = await readStateFile(paths.nodeCert, { message: 'no certificate', hint: 'try again' });
  const [certificate] = parseCertificates(pem, paths.nodeCert);
  if (nowMs > notAfterMs(certificate)) return;
  throw new RoutyError('already-enrolled', `${stateDir} holds a node's certificate already`, {
    hint: `to renew its certificate: routy cert renew; for another node name another directory with --state`,
  });
}

/**
 * Checks a certificate that was issued for this node and stores it with its CA.
 *
 * @param options.expected what the certificate must name; fields left out may be anything
 * @throws RoutyError `identity-wrong`, and those of {@link requireBelongTogether}, of the dates and
 *   of the state directory
 */
export async function installVerified(options: {
  readonly stateDir: string;
  readonly keyPem: string;
  readonly certificatePem: string;
  readonly caPem: string;
  readonly expected: Partial<Identity>;
  readonly nowMs: number;
}): Promise<Enrolled> {
  const { stateDir, keyPem, expected, nowMs } = options;
  const [certificate] = parseCertificates(options.certificatePem, 'the issued certificate');
  const [ca] = parseCertificates(options.caPem, "the fabric's CA certificate");
  const identity = requireBelongTogether({ certificate, ca, keyPem });
  requireInDate(certificate, nowMs, 'the issued certificate', CLOCK_HINT);
  requireInDate(ca, nowMs, "the fabric's CA certificate", CLOCK_HINT);
  for (const field of ['fabric', 'site', 'node'] as const) {
    if (expected[field] === undefined || expected[field] === identity[field]) continue;
    throw new RoutyError(
      'identity-wrong',
      `the certificate is for ${identityUri(identity)}, but the ${field} should be ${expected[field]}`,
      { hint: 'have it issued again with the right names' },
    );
  }
  // Written from the parsed form: nothing that stood beside the certificates gets into the state.
  const leafPem = certificate.toString();
  const caPem = ca.toString();
  const paths = statePaths(stateDir);
  await ensureDirectory(stateDir);
  await writeFileAtomic(paths.caCert, caPem, PUBLIC_FILE_MODE);
  // From here on the new certificate holds. A new key is put in place after it: should the process
  // end in between, whoever reads the key next does it.
  await writeFileAtomic(paths.nodeCert, leafPem + caPem, PUBLIC_FILE_MODE);
  await readKeyWithPin(stateDir, certificatePin(certificate));
  return {
    identity,
    caPin: certificatePin(ca),
    serial: certificate.serialNumber.toLowerCase(),
    notAfterMs: notAfterMs(certificate),
  };
}
