import { X509Certificate } from 'node:crypto';
import { certificateIdentity } from '@routy/link/transport';
import { type Identity, RoutyError } from '@routy/proto/base';
import { certificatePin } from './pin.ts';

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * The certificates in a PEM text, in order, at least one.
 *
 * @param what names the text in the error, such as the path of its file
 * @throws RoutyError `certificate-broken`
 */
export function parseCertificates(
  pem: string,
  what: string,
): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(PEM_BLOCK) ?? [];
  try {
    const [first, ...others] = blocks.map((block) => new X509Certificate(block));
    if (first !== undefined) return [first, ...others];
  } catch (error) {
    throw broken(what, error);
  }
  throw broken(what, undefined);
}

function broken(what: string, cause: unknown): RoutyError {
  return new RoutyError('certificate-broken', `${what} holds no certificate that can be read`, {
    hint: 'it must be PEM, beginning with -----BEGIN CERTIFICATE-----: copy it again in full',
    cause,
  });
}

/** Milliseconds since 1970. */
export function notBeforeMs(certificate: X509Certificate): number {
  return Date.parse(certificate.validFrom);
}

/** Milliseconds since 1970. */
export function notAfterMs(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

/**
 * @param what names the certificate in the error
 * @param renewHint what to do when it has expired
 * @throws RoutyError `certificate-expired`, `certificate-not-yet-valid`
 */
export function requireInDate(
  certificate: X509Certificate,
  nowMs: number,
  what: string,
  renewHint: string,
): void {
  const nowText = new Date(nowMs).toISOString();
  if (nowMs > notAfterMs(certificate)) {
    const end = new Date(notAfterMs(certificate)).toISOString();
    throw new RoutyError('certificate-expired', `${what} expired at ${end} (now ${nowText})`, {
      hint: renewHint,
    });
  }
  if (nowMs < notBeforeMs(certificate)) {
    const start = new Date(notBeforeMs(certificate)).toISOString();
    throw new RoutyError(
      'certificate-not-yet-valid',
      `${what} is valid only from ${start} on (now ${nowText})`,
      { hint: "set this machine's clock (timedatectl), then try again" },
    );
  }
}

/** True when `ca` is a CA and its key signed `certificate`. Dates are not looked at. */
export function isIssuedBy(certificate: X509Certificate, ca: X509Certificate): boolean {
  return ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

/** What `routy cert show` prints, as JSON too. Times are ISO 8601 in UTC. */
export interface CertificateFacts {
  /** Undefined for a CA and for a certificate that is not Routy's. */
  readonly identity: Identity | undefined;
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly state: 'valid' | 'expired' | 'not-yet-valid';
  /** Whole days until `notAfter`; negative when it has passed. */
  readonly daysLeft: number;
  readonly isCa: boolean;
  /** SHA-256 over the DER certificate, `AA:BB:…`. */
  readonly fingerprintSha256: string;
  /** SHA-256 over the public key, base64url: stays the same when a certificate is renewed. */
  readonly keyPin: string;
}

/**
 * The facts of the first certificate in `pem`.
 *
 * @throws RoutyError `certificate-broken`
 */
export function certificateFacts(pem: string, nowMs: number = Date.now()): CertificateFacts {
  const [certificate] = parseCertificates(pem, 'the text');
  return {
    identity: certificateIdentity(certificate),
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber.toLowerCase(),
    notBefore: new Date(notBeforeMs(certificate)).toISOString(),
    notAfter: new Date(notAfterMs(certificate)).toISOString(),
    state: validity(certificate, nowMs),
    daysLeft: Math.floor((notAfterMs(certificate) - nowMs) / 86_400_000),
    isCa: certificate.ca,
    fingerprintSha256: certificate.fingerprint256,
    keyPin: certificatePin(certificate),
  };
}

function validity(certificate: X509Certificate, nowMs: number): CertificateFacts['state'] {
  if (nowMs > notAfterMs(certificate)) return 'expired';
  return nowMs < notBeforeMs(certificate) ? 'not-yet-valid' : 'valid';
}

function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ');
}
