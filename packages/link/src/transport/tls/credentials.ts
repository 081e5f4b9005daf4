import type { Identity } from '@routy/proto/base';

/** What a lane needs to prove who it is and to judge who the other end is. All PEM. */
export interface TlsCredentials {
  /** Who the certificate says that the node is. */
  readonly identity: Identity;
  /** The node's certificate; others of its chain, as the CA's, may follow. */
  readonly certChainPem: string;
  /** The private key of the certificate, not encrypted. */
  readonly keyPem: string;
  /** The fabric CA's certificate: the only root that is trusted. */
  readonly caPem: string;
}
