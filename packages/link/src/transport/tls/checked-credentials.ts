import { X509Certificate } from 'node:crypto';
import { errorText, identityUri } from '@routy/proto/base';
import { LinkError } from '../link-error.ts';
import type { TlsCredentials } from './credentials.ts';
import { certificateIdentity } from './peer-identity.ts';
import { expectPem, secureContext } from './tls-context.ts';

/**
 * Fails for credentials that no peer could accept: what is no PEM, a key of another certificate, a
 * certificate of another node or CA. Dates are left to the handshake: clocks differ.
 *
 * @throws LinkError `credentials-invalid`
 */
export function checkCredentials(credentials: TlsCredentials): void {
  expectPem(credentials);
  const certificate = readCertificate('certChainPem', credentials.certChainPem);
  const ca = readCertificate('caPem', credentials.caPem);
  secureContext(credentials);
  const wanted = identityUri(credentials.identity);
  const named = certificateIdentity(certificate);
  if (named === undefined || identityUri(named) !== wanted) {
    const text = named === undefined ? 'no node' : identityUri(named);
    throw new LinkError('credentials-invalid', `the certificate names ${text}, not ${wanted}`, {
      hint: `its subject alternative name has to be the one URI ${wanted}`,
    });
  }
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) {
    throw new LinkError('credentials-invalid', `the certificate of ${wanted} is of another CA`, {
      hint: 'caPem has to be the certificate of the CA that has signed it',
    });
  }
}

function readCertificate(name: string, pem: unknown): X509Certificate {
  try {
    return new X509Certificate(pem as string);
  } catch (cause) {
    throw new LinkError('credentials-invalid', `${name} is no certificate: ${errorText(cause)}`, {
      hint: 'give the text of the PEM file, not its name',
      cause,
    });
  }
}
