import { sign, verify, type X509Certificate } from 'node:crypto';
import { certificateIdentity } from '@routy/link/transport';
import {
  formatHostPort,
  type Identity,
  identityUri,
  RoutyError,
  type TcpAddress,
} from '@routy/proto/base';
import { type Ca, type IssuedCertificate, issueCertificate, openCa } from '../pki/ca/ca.ts';
import { nameHolder, readJournal } from '../pki/ca/journal.ts';
import { isIssuedBy, notAfterMs, parseCertificates } from '../pki/certificate.ts';
import { type Clock, DAY_MS, systemClock } from '../pki/clock.ts';
import { createCsr, type VerifiedCsr, verifyCsr } from '../pki/csr.ts';
import { publicKeyDer } from '../pki/key.ts';
import { type Enrolled, installVerified } from '../pki/node/install.ts';
import { beginRenewal, type Renewal } from '../pki/node/renewal.ts';
import { certificatePin } from '../pki/pin.ts';
import { EnrolChannel } from './enrol-channel.ts';
import { askInTurn, type DialTcp, dialEnrolment } from './enrol-dial.ts';
import { type EnrolMessage, STEP_MS, textField } from './enrol-protocol.ts';
import { requireFabric } from './fabric-peer.ts';

/** So long after its end a certificate still gets its node a new one; see docs/adr/0029. */
export const RENEWAL_GRACE_MS = 30 * DAY_MS;
/** Certificates of one name in a day; more are no renewal but a fault or a flood. */
const RENEWALS_A_DAY_MAX = 20;

const BY_HAND = "get it by hand: routy cert request here, routy cert issue on the CA's node";

/**
 * Renews the certificate of a node over the network: asks the addresses in turn until one is the
 * CA's node, and stores what it issued.
 *
 * @param options.newKey with a new key; the old one proves who asks
 * @throws RoutyError those of {@link beginRenewal}; `enrol-unreachable`, `enrol-timeout`,
 *   `enrol-not-routy`, `pin-mismatch`, `not-ca` when no address is the CA's node; its refusals
 *   (`renewal-…`), and those of the certificate that came
 */
export async function renewOnline(options: {
  readonly stateDir: string;
  readonly addresses: readonly TcpAddress[];
  readonly newKey?: boolean | undefined;
  readonly dialTcp?: DialTcp | undefined;
  readonly stepMs?: number;
  readonly now?: Clock;
}): Promise<Enrolled & { readonly address: TcpAddress }> {
  const { stateDir } = options;
  const nowMs = (options.now ?? systemClock)();
  const renewal = await beginRenewal(stateDir, options.newKey === true);
  const csr = await createCsr(renewal.nextKeyPem, renewal.identity);
  const { address, certificatePem } = await askInTurn(options.addresses, 'the addresses', (each) =>
    askOne(each, renewal, csr, nowMs, options),
  );
  const enrolled = await installVerified({
    stateDir,
    keyPem: renewal.nextKeyPem,
    certificatePem,
    caPem: renewal.caPem,
    expected: renewal.identity,
    nowMs,
  });
  return { ...enrolled, address };
}

/** Renews the certificate of the CA's own node, which asks nobody. */
export async function renewOwn(options: {
  readonly stateDir: string;
  readonly newKey?: boolean | undefined;
  readonly now?: Clock;
}): Promise<Enrolled> {
  const { stateDir } = options;
  const nowMs = (options.now ?? systemClock)();
  const ca = await openCa(stateDir, nowMs);
  const renewal = await beginRenewal(stateDir, options.newKey === true);
  const { site, node } = renewal.identity;
  const issued = await issueCertificate(ca, {
    site,
    node,
    spki: publicKeyDer(renewal.nextKeyPem),
    replace: renewal.keyChanges,
    nowMs,
  });
  return installVerified({
    stateDir,
    keyPem: renewal.nextKeyPem,
    certificatePem: issued.certificatePem,
    caPem: ca.certificatePem,
    expected: renewal.identity,
    nowMs,
  });
}

async function askOne(
  address: TcpAddress,
  renewal: Renewal,
  csr: Buffer,
  nowMs: number,
  options: { readonly dialTcp?: DialTcp | undefined; readonly stepMs?: number },
): Promise<{ readonly certificatePem: string }> {
  const stepMs = options.stepMs ?? STEP_MS;
  const socket = await dialEnrolment(address, { stepMs, dialTcp: options.dialTcp });
  try {
    const expected = { pin: certificatePin(renewal.ca), fabric: renewal.identity.fabric };
    requireFabric(socket, expected, nowMs, formatHostPort(address.host, address.port));
    const channel = new EnrolChannel(socket, stepMs);
    const proof = sign('sha256', renewalBytes(csr, channel.exporter), renewal.keyPem);
    channel.send({
      type: 'renew',
      certificate: renewal.certificate.toString(),
      csr: csr.toString('base64url'),
      proof: proof.toString('base64url'),
    });
    const message = await channel.receive('certificate');
    return { certificatePem: textField(message, 'certificate') };
  } finally {
    socket.destroy();
  }
}

/** What the present key signs: for this purpose, this connection and this request alone. */
function renewalBytes(csrDer: Uint8Array, exporter: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('routy-renew\0'), exporter, csrDer]);
}

/**
 * Answers a message `renew` at the CA's node.
 *
 * @throws RoutyError `renewal-not-ours`, `renewal-too-late`, `proof-wrong`, `renewal-unknown`,
 *   `renewal-name-differs`, `renewal-too-often`, those of the request, and of `openCa`
 */
export async function answerRenewal(
  message: EnrolMessage,
  { stateDir, exporter, nowMs }: { stateDir: string; exporter: Uint8Array; nowMs: number },
): Promise<IssuedCertificate> {
  const ca = await openCa(stateDir, nowMs);
  const pem = textField(message, 'certificate');
  const [certificate] = parseCertificates(pem, 'the present certificate');
  const identity = requireOurs(ca, certificate, nowMs);
  const csrDer = Buffer.from(textField(message, 'csr'), 'base64url');
  const proof = Buffer.from(textField(message, 'proof'), 'base64url');
  if (!verify('sha256', renewalBytes(csrDer, exporter), certificate.publicKey, proof)) {
    throw new RoutyError('proof-wrong', 'the key of the present certificate was not proved', {
      hint: BY_HAND,
    });
  }
  const csr = await verifyCsr(csrDer);
  const { site, node } = identity;
  if (csr.site !== site || csr.node !== node) {
    throw new RoutyError(
      'renewal-name-differs',
      `the request names ${csr.site}/${csr.node}, but the certificate is for ${site}/${node}`,
      { hint: 'another name is another node: routy invite, then routy join' },
    );
  }
  await requireHolder(stateDir, certificate, identity, csr, nowMs);
  const replace = csr.keyPin !== certificatePin(certificate);
  return issueCertificate(ca, { site, node, spki: csr.spki, replace, nowMs });
}

function requireOurs(ca: Ca, certificate: X509Certificate, nowMs: number): Identity {
  const identity = certificateIdentity(certificate);
  if (
    identity === undefined ||
    identity.fabric !== ca.fabric ||
    !isIssuedBy(certificate, ca.certificate)
  ) {
    throw new RoutyError(
      'renewal-not-ours',
      'the present certificate was not issued by this CA for a node of its fabric',
      { hint: 'a node of another fabric joins this one: routy invite, then routy join' },
    );
  }
  const lateMs = nowMs - notAfterMs(certificate) - RENEWAL_GRACE_MS;
  if (lateMs <= 0) return identity;
  const days = RENEWAL_GRACE_MS / DAY_MS;
  throw new RoutyError(
    'renewal-too-late',
    `the certificate of ${identityUri(identity)} ended more than ${days} days ago`,
    { hint: BY_HAND },
  );
}

/**
 * The journal has the certificate, and its name still belongs to its key, or to the new one: then an
 * answer was lost on its way, and the node asks once more.
 */
async function requireHolder(
  stateDir: string,
  certificate: X509Certificate,
  { site, node }: Identity,
  csr: VerifiedCsr,
  nowMs: number,
): Promise<void> {
  const journal = await readJournal(stateDir);
  const serial = certificate.serialNumber.toLowerCase();
  const holder = nameHolder(journal, site, node);
  const keyPins = [certificatePin(certificate), csr.keyPin];
  const known = journal.some((entry) => entry.serial === serial);
  if (!known || holder === undefined || !keyPins.includes(holder.keyPin)) {
    throw new RoutyError(
      'renewal-unknown',
      known
        ? `the name ${site}/${node} was given to another key`
        : `the certificate of ${site}/${node} is not in the list of issued ones`,
      { hint: BY_HAND },
    );
  }
  const recent = journal.filter(
    (entry) => entry.site === site && entry.node === node && Date.parse(entry.at) > nowMs - DAY_MS,
  );
  if (recent.length < RENEWALS_A_DAY_MAX) return;
  throw new RoutyError(
    'renewal-too-often',
    `${site}/${node} got ${recent.length} certificates within a day`,
    { hint: 'wait a day, and find out what asks again and again' },
  );
}
