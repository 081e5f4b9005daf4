import type { X509Certificate } from 'node:crypto';
import type { TlsCredentials } from '@routy/link/transport';
import { certificateIdentity } from '@routy/link/transport';
import { type Identity, RoutyError } from '@routy/proto/base';
import { isIssuedBy, notAfterMs, parseCertificates, requireInDate } from '../certificate.ts';
import { type Clock, systemClock } from '../clock.ts';
import { publicKeyDer, readKeyWithPin } from '../key.ts';
import { certificatePin, equalPins, spkiPin } from '../pin.ts';
import { readStateFile, statePaths } from '../state.ts';

const ENROL_HINT =
  'enrol this node first: routy init, routy join, routy up --await-adoption or routy cert request';
const RENEW_HINT =
  "renew it on this machine: routy cert renew; if the date is wrong, set this machine's clock";

/**
 * Reads who this node is from its state directory and checks that key, certificate and CA belong
 * together and are in date.
 *
 * @throws RoutyError `state-missing`, `key-readable-by-others`, `key-broken`, `key-mismatch`,
 *   `certificate-broken`, `certificate-expired`, `certificate-not-yet-valid`, `ca-mismatch`,
 *   `identity-missing`, `state-unreadable`
 */
export async function loadCredentials(
  stateDir: string,
  options: {
    readonly now?: Clock;
    /**
     * Takes a certificate that has ended too. With it no lane comes up, but a node runs on and says
     * so, and needs no start when the certificate was renewed.
     */
    readonly expired?: boolean;
  } = {},
): Promise<TlsCredentials> {
  const nowMs = (options.now ?? systemClock)();
  const paths = statePaths(stateDir);
  const certChainPem = await readStateFile(paths.nodeCert, {
    message: `this node has no certificate (${paths.nodeCert} is missing)`,
    hint: ENROL_HINT,
  });
  const [certificate] = parseCertificates(certChainPem, paths.nodeCert);
  const keyPem = await readKeyWithPin(stateDir, certificatePin(certificate));
  const caPem = await readStateFile(paths.caCert, {
    message: `the fabric's CA certificate ${paths.caCert} is missing`,
    hint: ENROL_HINT,
  });
  const [ca] = parseCertificates(caPem, paths.caCert);
  const identity = requireBelongTogether({ certificate, ca, keyPem });
  if (options.expired !== true || nowMs <= notAfterMs(certificate)) {
    requireInDate(certificate, nowMs, `this node's certificate ${paths.nodeCert}`, RENEW_HINT);
  }
  requireInDate(
    ca,
    nowMs,
    `the fabric's CA certificate ${paths.caCert}`,
    'make a new fabric: routy init',
  );
  return { identity, certChainPem, keyPem, caPem };
}

/**
 * @returns the identity in the certificate
 * @throws RoutyError `key-mismatch`, `ca-mismatch`, `identity-missing`, `key-broken`
 */
export function requireBelongTogether(parts: {
  readonly certificate: X509Certificate;
  readonly ca: X509Certificate;
  readonly keyPem: string;
}): Identity {
  const { certificate, ca, keyPem } = parts;
  if (!equalPins(certificatePin(certificate), spkiPin(publicKeyDer(keyPem)))) {
    throw new RoutyError('key-mismatch', 'the certificate was made for another key than node.key', {
      hint: 'put back the node.key and node.crt that belong together, or enrol the node anew',
    });
  }
  if (!isIssuedBy(certificate, ca)) {
    throw new RoutyError('ca-mismatch', 'the certificate was not issued by the CA in ca.crt', {
      hint: 'put back the node.crt and ca.crt of the same fabric, or enrol the node anew',
    });
  }
  const identity = certificateIdentity(certificate);
  if (identity !== undefined) return identity;
  throw new RoutyError(
    'identity-missing',
    'the certificate does not name a fabric, site and node',
    {
      hint: 'use a certificate that routy issued',
    },
  );
}
