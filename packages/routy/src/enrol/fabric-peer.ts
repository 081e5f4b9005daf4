import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { certificateIdentity } from '@routy/link/transport';
import { RoutyError } from '@routy/proto/base';
import { isIssuedBy, requireInDate } from '../pki/certificate.ts';
import { certificatePin, equalPins } from '../pki/pin.ts';

/**
 * The CA of whoever answered, once it is shown to be the one with this pin, and the answerer a node
 * of its fabric. To be called before anything is sent.
 *
 * @param name of whoever answered, for the error
 * @throws RoutyError `pin-mismatch`, and those of the dates
 */
export function requireFabric(
  socket: TLSSocket,
  expected: { readonly pin: string; readonly fabric: string },
  nowMs: number,
  name: string,
): X509Certificate {
  const leaf = socket.getPeerX509Certificate();
  const ca = leaf?.issuerCertificate;
  if (leaf === undefined || ca === undefined) throw pinMismatch(name, 'it sent no CA certificate');
  if (!equalPins(certificatePin(ca), expected.pin)) {
    throw pinMismatch(name, 'its CA is another one');
  }
  if (!isIssuedBy(leaf, ca)) throw pinMismatch(name, 'the CA did not issue its certificate');
  if (certificateIdentity(leaf)?.fabric !== expected.fabric) {
    throw pinMismatch(name, `it is not a node of the fabric ${expected.fabric}`);
  }
  const hint =
    'compare the clocks of both machines (timedatectl); if it has expired, on that machine: routy cert renew';
  requireInDate(leaf, nowMs, `the certificate of ${name}`, hint);
  requireInDate(ca, nowMs, `the CA certificate of ${name}`, hint);
  return ca;
}

function pinMismatch(name: string, why: string): RoutyError {
  return new RoutyError('pin-mismatch', `${name} is not of this fabric: ${why}`, {
    hint: 'nothing was sent; check the address, and whether somebody stands in between',
  });
}
