import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { type Identity, identityUri, parseIdentityUri } from '@routy/proto/base';

/** Why a certificate proves nothing; few words, for what counts failures of one kind together. */
export type ChainFault =
  | 'no-certificate'
  | 'no-identity'
  | 'other-fabric'
  | 'expired'
  | 'not-yet-valid'
  | 'self-signed'
  | 'other-ca'
  | 'other-use'
  | 'not-accepted';

export type Verdict =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly fault: ChainFault; readonly reason: string };

/**
 * Judges the peer after a handshake, the same way on both ends: its certificate must lead to this
 * fabric's CA, be valid today, and name a node of this fabric. Host names are not compared: a
 * fabric names nodes, not DNS entries, and a node is the same node at whatever address, through
 * whatever proxy it was reached. That it is a node of *this* fabric is what the CA vouches for.
 *
 * `reason` is one line for a log, such as `certificate of routy://f/red/red1 has expired`.
 */
export function judgePeer(socket: TLSSocket, fabric: string): Verdict {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return refused('no-certificate', 'no certificate was presented');
  const identity = certificateIdentity(certificate);
  const name = nameOf(identity);
  // `authorized` is OpenSSL's verdict on the chain; nothing else here may stand in for it.
  if (!socket.authorized) {
    const [fault, text] = chainFault(String(socket.authorizationError), certificate);
    return refused(fault, `${name} ${text}`);
  }
  if (identity === undefined) {
    return refused('no-identity', 'certificate names no node of any fabric');
  }
  if (identity.fabric !== fabric) {
    return refused(
      'other-fabric',
      `${name} is of fabric "${identity.fabric}", this is fabric "${fabric}"`,
    );
  }
  return { ok: true, identity };
}

/**
 * Judges a client whose handshake node:tls gave up, when its certificate may be the reason: a wrong
 * signature leaves an error in OpenSSL's queue, which node:tls takes for one of its next read (`EVP lib`)
 * if the rest of the handshake has not come by then. Undefined when this CA has signed it, or there is none.
 */
export function judgeUnfinished(
  socket: TLSSocket,
  caPem: string,
): { readonly fault: ChainFault; readonly reason: string } | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  if (certificate.verify(new X509Certificate(caPem).publicKey)) return undefined;
  const name = nameOf(certificateIdentity(certificate));
  return { fault: 'other-ca', reason: `${name} ${OTHER_CA}` };
}

const OTHER_CA = 'is signed by another CA';

function nameOf(identity: Identity | undefined): string {
  return identity === undefined ? 'certificate' : `certificate of ${identityUri(identity)}`;
}

/**
 * The identity in a certificate's URI SAN; undefined when it has none or more than one. Nothing
 * is verified here.
 */
export function certificateIdentity(certificate: X509Certificate): Identity | undefined {
  const text = certificate.subjectAltName;
  // node quotes an entry with special characters (CVE-2021-44532). No name of ours needs it, and
  // splitting quoted text at commas would let one entry pass for several.
  if (text === undefined || text.includes('"')) return undefined;
  const uris = text.split(', ').filter((entry) => entry.startsWith('URI:routy://'));
  if (uris.length !== 1) return undefined;
  return parseIdentityUri(uris[0]!.slice('URI:'.length));
}

/** OpenSSL's verification code (`X509_V_ERR_…`) in words an operator can act on. */
function chainFault(code: string, certificate: X509Certificate): [ChainFault, string] {
  switch (code) {
    case 'CERT_HAS_EXPIRED': {
      const until = new Date(certificate.validTo);
      if (until.getTime() > Date.now())
        return ['expired', 'is from a CA whose certificate has expired'];
      return ['expired', `has expired (on ${until.toISOString()})`];
    }
    case 'CERT_NOT_YET_VALID': {
      const from = new Date(certificate.validFrom).toISOString();
      return ['not-yet-valid', `is not valid before ${from}: compare the clocks`];
    }
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return ['self-signed', 'is signed by itself, not by the CA of this fabric'];
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'CERT_SIGNATURE_FAILURE':
      return ['other-ca', OTHER_CA];
    case 'INVALID_PURPOSE':
      return ['other-use', 'is not made for this use (extended key usage)'];
    default:
      return ['not-accepted', `was not accepted: ${code}`];
  }
}

function refused(fault: ChainFault, reason: string): Verdict {
  return { ok: false, fault, reason };
}
