import type { Identity } from '@routy/proto/base';

/** What a lane needs to prove who it is and to judge who the other end is. All PEM. */
export interface TlsCredentials {
  readonly identity: Identity;
  /** The node's certificate followed by the CA's. */
  readonly certChainPem: string;
  readonly keyPem: string;
  /** The fabric CA's certificate: the only root that is trusted. */
  readonly caPem: string;
}
