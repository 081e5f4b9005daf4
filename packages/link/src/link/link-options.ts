import { isName, type Identity, identityUri } from '@routy/proto/base';
import type { SessionLimits, SessionTimes } from '../driver/session-options.ts';
import type { LocatorsOptions } from '../locators/locators.ts';
import { LinkError } from '../transport/link-error.ts';
import type { TlsCredentials } from '../transport/tls/credentials.ts';
import type { DiallingOptions } from './destinations.ts';
import type { TransportMaker } from './transports.ts';

/** What a link is made of. One of `credentials` and `identity` is needed, the rest has defaults. */
export interface LinkOptions {
  /**
   * Key, certificate and CA, for the transport `tls`; a function is asked at every connection, so that
   * a renewed certificate holds from the next handshake on. docs/PROTOCOL.md says what a certificate
   * has to contain; the daemon's `routy init` and `routy join` make such.
   */
  readonly credentials?: TlsCredentials | (() => TlsCredentials);
  /** Who this node is; what the certificate says when there are credentials. */
  readonly identity?: Identity;
  /** Further ways to make lanes, by the name that candidates have. */
  readonly transports?: Readonly<Record<string, TransportMaker>>;
  /** Both ends need the same: another heartbeat or resume time is refused with `settings-mismatch`. */
  readonly times?: Partial<SessionTimes>;
  /**
   * Most bytes and streams: 4 MiB of window for a stream, 256 MiB for a session and for the link,
   * 16,384 streams in a session, where nothing else is said.
   */
  readonly limits?: Partial<SessionLimits>;
  /** What else has to be equal at both ends, as people write it. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Optional parts of the session protocol that this side can use. */
  readonly capabilities?: readonly string[];
  /** For people: the program and its version, `counter/1.0.0`. */
  readonly software?: string;
  /** How long dials wait for a locator that has gone, and on which clock. */
  readonly locators?: LocatorsOptions;
  /** Address translation, address families and the pace of racing. */
  readonly dialling?: DiallingOptions;
}

const MIB = 1024 * 1024;

/** What a node has that is not told otherwise. */
export const DEFAULT_TIMES: SessionTimes = {
  heartbeatIntervalMs: 5_000,
  heartbeatMisses: 3,
  resumeTimeMs: 60_000,
};

export const DEFAULT_LIMITS: SessionLimits = {
  streamWindow: 4 * MIB,
  sessionBuffer: 256 * MIB,
  processBuffer: 256 * MIB,
  streams: 16_384,
};

/** @throws LinkError `credentials-invalid` */
export function identityOf(
  { identity }: LinkOptions,
  credentials: TlsCredentials | undefined,
): Identity {
  const self = identity ?? credentials?.identity;
  if (self === undefined) {
    throw new LinkError('credentials-invalid', 'a link has an identity or credentials', {
      hint: "createLink({ credentials }), or { identity: { fabric: 'f', site: 'red', node: 'red1' } }",
    });
  }
  if (![self.fabric, self.site, self.node].every(isName)) {
    throw new LinkError('credentials-invalid', `${identityUri(self)} is no identity`, {
      hint: 'fabric, site and node have 1 to 63 of a-z, 0-9 and -',
    });
  }
  if (credentials !== undefined && identityUri(self) !== identityUri(credentials.identity)) {
    const text = `the identity ${identityUri(self)} is not that of the credentials`;
    throw new LinkError('credentials-invalid', text, { hint: 'leave the identity out' });
  }
  return self;
}
