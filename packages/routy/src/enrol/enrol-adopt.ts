import type { TLSSocket } from 'node:tls';
import { formatHostPort, type Identity, RoutyError, type TcpAddress } from '@routy/proto/base';
import { type Ca, type IssuedCertificate, issueCertificate, openCa } from '../pki/ca/ca.ts';
import { type Clock, systemClock } from '../pki/clock.ts';
import { verifyCsr } from '../pki/csr.ts';
import { requireName } from '../pki/names.ts';
import { certificatePin, equalPins } from '../pki/pin.ts';
import { type AdoptionText, parseAdoptionText } from './adoption-text.ts';
import { EnrolChannel } from './enrol-channel.ts';
import { type DialTcp, dialEnrolment } from './enrol-dial.ts';
import {
  asRefusal,
  openProved,
  PeerRefusal,
  type Proving,
  proveMessage,
  STEP_MS,
  textField,
} from './enrol-protocol.ts';

export interface AdoptedNode {
  readonly identity: Identity;
  /** Where the newcomer listens: what this node dials from now on. */
  readonly address: TcpAddress;
  readonly serial: string;
  readonly notAfterMs: number;
}

/**
 * Takes a newcomer that awaits adoption into the fabric: dials it, checks its key's pin, proves the
 * one-time secret both ways, and signs the certificate it asks for. Run on the CA's node.
 *
 * @param options.addressAndPin what the newcomer printed
 * @param options.node its name; when left out, the one the newcomer suggests
 * @param options.replace lets the newcomer take over a name that another key has
 * @throws RoutyError `not-ca`, `adoption-text-wrong`, `name-invalid`, `enrol-unreachable`,
 *   `enrol-timeout`, `enrol-not-routy`, `pin-mismatch`, `proof-wrong`, `node-name-missing`,
 *   `node-name-taken`, `adoption-unconfirmed`, what the newcomer refuses with, and those of the
 *   state directory
 */
export async function adopt(options: {
  readonly stateDir: string;
  readonly addressAndPin: string;
  readonly site: string;
  readonly node?: string | undefined;
  readonly replace?: boolean | undefined;
  readonly dialTcp?: DialTcp | undefined;
  readonly stepMs?: number;
  readonly now?: Clock;
}): Promise<AdoptedNode> {
  const text = parseAdoptionText(options.addressAndPin);
  const site = requireName('site', options.site);
  const node = options.node === undefined ? undefined : requireName('node', options.node);
  const nowMs = (options.now ?? systemClock)();
  const ca = await openCa(options.stateDir, nowMs);
  const stepMs = options.stepMs ?? STEP_MS;
  const socket = await dialEnrolment(text.address, { stepMs, dialTcp: options.dialTcp });
  let channel: EnrolChannel;
  try {
    requirePinned(socket, text);
    channel = new EnrolChannel(socket, stepMs);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  try {
    const replace = options.replace ?? false;
    const issued = await converse(channel, ca, text, { site, node, replace, nowMs });
    socket.destroy();
    const { identity, serial, notAfterMs } = issued;
    return { identity, address: text.address, serial, notAfterMs };
  } catch (error) {
    if (error instanceof PeerRefusal) channel.close();
    else channel.refuse(asRefusal(error));
    // A command that ends now must not take the refusal with it.
    await channel.closed;
    throw error;
  }
}

function requirePinned(socket: TLSSocket, text: AdoptionText): void {
  const certificate = socket.getPeerX509Certificate();
  if (certificate !== undefined && equalPins(certificatePin(certificate), text.keyPin)) return;
  const name = formatHostPort(text.address.host, text.address.port);
  throw new RoutyError('pin-mismatch', `${name} has another key than the one that was printed`, {
    hint: 'nothing was sent; copy ADDRESS#PIN again from the newcomer, and see whether somebody stands in between',
  });
}

interface AdoptionRequest {
  readonly site: string;
  readonly node: string | undefined;
  readonly replace: boolean;
  readonly nowMs: number;
}

async function converse(
  channel: EnrolChannel,
  ca: Ca,
  text: AdoptionText,
  request: AdoptionRequest,
): Promise<IssuedCertificate> {
  const { site, node, replace, nowMs } = request;
  const secret = Buffer.from(text.secret, 'base64url');
  const { exporter } = channel;
  const ours: Proving = { secret, exporter, sender: 'adopter' };
  const theirs: Proving = { secret, exporter, sender: 'newcomer' };

  const offer = { type: 'adopt', fabric: ca.fabric, site, node, ca: ca.certificatePem };
  channel.send(proveMessage(offer, ours));
  const answer = openProved(await channel.receive('proved'), 'request', theirs);
  const csr = await verifyCsr(Buffer.from(textField(answer, 'csr'), 'base64url'));
  if (!equalPins(csr.keyPin, text.keyPin)) {
    throw new RoutyError('pin-mismatch', 'the newcomer asks for a certificate for another key', {
      hint: 'copy ADDRESS#PIN again from the newcomer',
    });
  }
  if (csr.node === undefined || (node !== undefined && csr.node !== node)) {
    throw new RoutyError('node-name-mismatch', 'the newcomer asks for another node name', {
      hint: 'install the same version of routy on both nodes',
    });
  }
  const { spki } = csr;
  const issued = await issueCertificate(ca, { site, node: csr.node, spki, replace, nowMs });
  channel.send(proveMessage({ type: 'certificate', certificate: issued.certificatePem }, ours));
  await requireConfirmed(channel, theirs, issued);
  return issued;
}

async function requireConfirmed(
  channel: EnrolChannel,
  theirs: Proving,
  issued: IssuedCertificate,
): Promise<void> {
  try {
    openProved(await channel.receive('proved'), 'adopted', theirs);
  } catch (error) {
    if (error instanceof PeerRefusal) throw error;
    const { site, node } = issued.identity;
    throw new RoutyError(
      'adoption-unconfirmed',
      `a certificate for ${site}/${node} was sent, but the newcomer did not confirm it: ${asRefusal(error).message}`,
      { hint: 'look on the newcomer: if it still awaits adoption, adopt it again', cause: error },
    );
  }
}
