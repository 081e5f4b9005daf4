import type { TLSSocket } from 'node:tls';
import { formatHostPort, RoutyError, type TcpAddress } from '@routy/proto/base';
import { type IssuedCertificate, issueCertificate, openCa } from '../pki/ca/ca.ts';
import { type Clock, systemClock } from '../pki/clock.ts';
import { createCsr, verifyCsr } from '../pki/csr.ts';
import { ensureNodeKey } from '../pki/key.ts';
import { requireName } from '../pki/names.ts';
import { type Enrolled, installVerified, requireNotEnrolled } from '../pki/node/install.ts';
import { EnrolChannel } from './enrol-channel.ts';
import { askInTurn, type DialTcp, dialEnrolment } from './enrol-dial.ts';
import { asRefusal, type EnrolmentLog, PeerRefusal, STEP_MS, textField } from './enrol-protocol.ts';
import { answerRenewal } from './enrol-renew.ts';
import { requireFabric } from './fabric-peer.ts';
import { joinProof, redeemInvite } from './invite.ts';
import { type JoinLine, parseJoinLine } from './join-line.ts';

/** Codes whose words are meant for a newcomer; others (file names, say) stay in this node's log. */
const TOLD_CODES: ReadonlySet<string> = new Set([
  'invite-unknown',
  'invite-used',
  'invite-expired',
  'invite-blocked',
  'proof-wrong',
  'node-name-taken',
  'node-name-missing',
  'node-name-mismatch',
  'site-mismatch',
  'csr-broken',
  'csr-signature-wrong',
  'csr-key-unsupported',
  'enrol-message-broken',
  'enrol-message-too-long',
  'enrol-timeout',
  'renewal-not-ours',
  'renewal-name-differs',
  'renewal-too-late',
  'renewal-unknown',
  'renewal-too-often',
]);

/**
 * Serves one newcomer on a socket that was accepted with ALPN `routy-enrol/1`: checks its proof of
 * an invite and gives it a certificate. Every outcome goes to `log`; nothing that comes over the
 * socket makes it throw. Resolves when the answer is on its way.
 */
export async function serveEnrolment(
  socket: TLSSocket,
  options: {
    readonly stateDir: string;
    /** `host:port` of the newcomer, which the socket need not know. */
    readonly remote: string;
    readonly log: EnrolmentLog;
    /** Called once it has proved that it was invited. */
    readonly proved?: () => void;
    readonly stepMs?: number;
    readonly now?: Clock;
  },
): Promise<void> {
  const { stateDir, remote, log } = options;
  const now = options.now ?? systemClock;
  let channel: EnrolChannel | undefined;
  try {
    channel = new EnrolChannel(socket, options.stepMs ?? STEP_MS);
    const issued = await answer(channel, stateDir, now, options.proved);
    const { identity, serial } = issued;
    log({ kind: 'enrolled', remote, ...identity, serial });
    channel.close();
  } catch (error) {
    const refusal = asRefusal(error);
    const by = refusal instanceof PeerRefusal ? 'peer' : 'us';
    log({ kind: 'refused', remote, code: refusal.code, reason: refusal.message, by });
    if (channel === undefined) socket.destroy();
    else channel.refuse(TOLD_CODES.has(refusal.code) ? refusal : untold(refusal));
  }
}

function untold(refusal: RoutyError): RoutyError {
  const code = refusal.code === 'not-ca' ? 'not-ca' : 'enrol-failed';
  return new RoutyError(code, 'the node that was dialled cannot issue certificates now', {
    hint: 'its log says why',
  });
}

async function answer(
  channel: EnrolChannel,
  stateDir: string,
  now: Clock,
  proved: (() => void) | undefined,
): Promise<IssuedCertificate> {
  const message = await channel.receive('join', 'renew');
  const nowMs = now();
  if (message.type === 'renew') {
    const issued = await answerRenewal(message, { stateDir, exporter: channel.exporter, nowMs });
    channel.send({ type: 'certificate', certificate: issued.certificatePem });
    return issued;
  }
  const ca = await openCa(stateDir, nowMs);
  const csr = await verifyCsr(Buffer.from(textField(message, 'csr'), 'base64url'));
  const invite = await redeemInvite({
    stateDir,
    id: textField(message, 'id'),
    csr,
    exporter: channel.exporter,
    proof: Buffer.from(textField(message, 'proof'), 'base64url'),
    nowMs,
  });
  proved?.();
  let issued: IssuedCertificate;
  try {
    issued = await issueCertificate(ca, { ...invite, spki: csr.spki, nowMs });
  } catch (error) {
    await invite.release();
    throw error;
  }
  channel.send({ type: 'certificate', certificate: issued.certificatePem });
  return issued;
}

export interface Joined extends Enrolled {
  /** The address that answered. */
  readonly address: TcpAddress;
  /** All addresses of the line: where this node dials from now on. */
  readonly addresses: readonly TcpAddress[];
}

/**
 * Enrols this node with a join line: tries its addresses in order, checks the CA's pin before
 * anything is sent, proves the secret, and stores the certificate.
 *
 * @param options.node its name; may be left out when the line gives one
 * @param options.dialTcp to dial through a proxy
 * @throws RoutyError those of the line (`join-line-…`), `node-name-missing`, `already-enrolled`,
 *   `is-ca-node`, `pin-mismatch`, `enrol-unreachable`, `enrol-timeout`, `enrol-not-routy`, the
 *   refusals of the other side (`invite-used`, `invite-expired`, `invite-unknown`, `proof-wrong`,
 *   `node-name-taken`…), those of the certificate that came, and of the state directory
 */
export async function joinFabric(options: {
  readonly line: string;
  readonly stateDir: string;
  readonly node?: string | undefined;
  readonly dialTcp?: DialTcp | undefined;
  readonly stepMs?: number;
  readonly now?: Clock;
}): Promise<Joined> {
  const { stateDir } = options;
  const nowMs = (options.now ?? systemClock)();
  // The CA's node judges the expiry: this machine's clock may not be set yet.
  const line = parseJoinLine(options.line);
  const node = requireNodeName(options.node ?? line.node);
  await requireNotEnrolled(stateDir, nowMs);
  const keyPem = await ensureNodeKey(stateDir);
  const csr = await createCsr(keyPem, { node, site: line.site });

  const { address, certificatePem, caPem } = await askInTurn(
    line.addresses,
    "the line's addresses",
    (each) => askOne(each, line, csr, nowMs, options),
  );
  const { fabric, site } = line;
  const expected = { fabric, site, node };
  const enrolled = await installVerified({
    stateDir,
    keyPem,
    certificatePem,
    caPem,
    expected,
    nowMs,
  });
  return { ...enrolled, address, addresses: line.addresses };
}

function requireNodeName(node: string | undefined): string {
  if (node !== undefined) return requireName('node', node);
  throw new RoutyError('node-name-missing', 'the join line does not name the node', {
    hint: 'give this node a name: --node NAME',
  });
}

interface Answer {
  readonly certificatePem: string;
  readonly caPem: string;
}

interface AskOptions {
  readonly dialTcp?: DialTcp | undefined;
  readonly stepMs?: number;
}

async function askOne(
  address: TcpAddress,
  line: JoinLine,
  csr: Buffer,
  nowMs: number,
  options: AskOptions,
): Promise<Answer> {
  const stepMs = options.stepMs ?? STEP_MS;
  const socket = await dialEnrolment(address, { stepMs, dialTcp: options.dialTcp });
  try {
    const ca = requireFabric(socket, line, nowMs, formatHostPort(address.host, address.port));
    const channel = new EnrolChannel(socket, stepMs);
    channel.send({
      type: 'join',
      id: line.id,
      csr: csr.toString('base64url'),
      proof: joinProof(line.secret, csr, channel.exporter).toString('base64url'),
    });
    const message = await channel.receive('certificate');
    return { certificatePem: textField(message, 'certificate'), caPem: ca.toString() };
  } finally {
    socket.destroy();
  }
}
