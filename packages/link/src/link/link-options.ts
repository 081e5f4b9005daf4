import { types } from 'node:util';
import { errorText, isName, type Identity, identityUri } from '@routy/proto/base';
import { ownHelloFault, timesAsSettings } from '@routy/proto/session';
import { expectObject, expectOptions, type KeysOf } from '../arguments/arguments.ts';
import {
  handshakeOptions,
  type SessionCommons,
  type SessionLimits,
  type SessionTimes,
} from '../driver/session-options.ts';
import type { LocatorsOptions } from '../locators/locators.ts';
import { invalidArgument, LinkError, shown } from '../transport/link-error.ts';
import { checkCredentials } from '../transport/tls/checked-credentials.ts';
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
  /**
   * Heartbeats every 5 s, of which 3 may be missing, and 60 s to resume, where nothing else is said.
   * Both ends need the same: another one is refused with `settings-mismatch`.
   */
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

const KEYS: KeysOf<LinkOptions> = {
  credentials: true,
  identity: true,
  transports: true,
  times: true,
  limits: true,
  settings: true,
  capabilities: true,
  software: true,
  locators: true,
  dialling: true,
};

/** @throws LinkError `argument-invalid` */
export function expectLinkOptions(options: LinkOptions): void {
  expectObject('options', options, KEYS);
  const { credentials } = options;
  if (!['undefined', 'object', 'function'].includes(typeof credentials) || credentials === null)
    throw invalidArgument('credentials', 'an object, or a function that returns one', credentials);
}

/** Asked at every connection: what a function gives is looked at each time. */
export function credentialsOf({ credentials }: LinkOptions): (() => TlsCredentials) | undefined {
  if (typeof credentials === 'function') return renewed(credentials);
  if (credentials === undefined) return undefined;
  whole(credentials);
  return () => credentials;
}

/** What a function gives, each time: a link is of one node for as long as it lives. */
function renewed(credentials: () => TlsCredentials): () => TlsCredentials {
  let first: string | undefined;
  return () => {
    const current = whole(given(credentials));
    const uri = identityUri(current.identity);
    first ??= uri;
    if (uri === first) return current;
    throw new LinkError('credentials-invalid', `credentials of ${uri}, after those of ${first}`, {
      hint: 'a link keeps its identity: make another one for another node',
    });
  };
}

function given(credentials: () => TlsCredentials): TlsCredentials {
  try {
    return credentials();
  } catch (cause) {
    const text = `the function that gives credentials has failed: ${errorText(cause)}`;
    throw new LinkError('credentials-invalid', text, {
      hint: 'it is asked at every connection: let it return those it has while it cannot get others',
      cause,
    });
  }
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** A whole number: what it is where nothing is said, and the least and the most that can be meant. */
type Range = readonly [initial: number, min: number, max: number];

const TIMES: Readonly<Record<keyof SessionTimes, Range>> = {
  heartbeatIntervalMs: [5_000, 10, 600_000],
  heartbeatMisses: [3, 1, 100],
  resumeTimeMs: [60_000, 0, 86_400_000],
};

const LIMITS: Readonly<Record<keyof SessionLimits, Range>> = {
  streamWindow: [4 * MIB, 64 * KIB, 1024 * MIB],
  sessionBuffer: [256 * MIB, MIB, 1024 * 1024 * MIB],
  processBuffer: [256 * MIB, MIB, 1024 * 1024 * MIB],
  streams: [16_384, 1, 1_000_000],
};

/** @throws LinkError `argument-invalid` */
export function timesOf({ times = {} }: LinkOptions): SessionTimes {
  return inRanges('times', TIMES, times);
}

/** @throws LinkError `argument-invalid` */
export function limitsOf({ limits = {} }: LinkOptions): SessionLimits {
  return inRanges('limits', LIMITS, limits);
}

/**
 * What is said of this link in every HELLO.
 *
 * @throws LinkError `argument-invalid` where no peer would take it
 */
export function helloOf(
  self: Identity,
  times: SessionTimes,
  { settings = {}, capabilities = [], software = '@routy/link' }: LinkOptions,
): Pick<SessionCommons, 'self' | 'settings' | 'capabilities' | 'software'> {
  const ofTimes = timesAsSettings(times);
  if (!isObject(settings)) throw invalidArgument('settings', 'an object of texts', settings);
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value !== 'string') throw invalidArgument(`settings.${name}`, 'text', value);
    if (Object.hasOwn(ofTimes, name))
      throw invalidArgument(`settings.${name}`, 'left out: `times` says it', value);
  }
  if (!Array.isArray(capabilities))
    throw invalidArgument('capabilities', 'a list of texts', capabilities);
  const said = {
    self,
    settings: { ...ofTimes, ...settings },
    capabilities: [...capabilities],
    software,
  };
  const fault = ownHelloFault(handshakeOptions({ ...said, instance: '0'.repeat(32) }, self));
  if (fault === undefined) return said;
  throw new LinkError('argument-invalid', `no peer would take what this link says: ${fault}`, {
    hint: 'shorten settings, capabilities or software; none of them has control characters',
  });
}

function inRanges<K extends string>(
  option: string,
  ranges: Readonly<Record<K, Range>>,
  given: Readonly<Partial<Record<K, unknown>>>,
): Record<K, number> {
  expectOptions(option, given, ranges);
  const values = Object.entries<Range>(ranges).map(([name, [initial, min, max]]) => {
    const { [name as K]: value = initial } = given;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max)
      return [name, value] as const;
    const wanted = `a whole number from ${min} to ${max}`;
    throw invalidArgument(`${option}.${name}`, wanted, value);
  });
  return Object.fromEntries(values) as Record<K, number>;
}

/** @throws LinkError `argument-invalid`, `credentials-invalid` */
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
  if (!isObject(self)) throw invalidArgument('identity', '{ fabric, site, node }', self);
  if (
    ![self.fabric, self.site, self.node].every((name) => typeof name === 'string' && isName(name))
  ) {
    throw new LinkError('credentials-invalid', `${identityUri(self)} is no identity`, {
      hint: 'fabric, site and node have 1 to 63 of a-z, 0-9 and -',
    });
  }
  if (credentials !== undefined && identityUri(self) !== identityUri(credentials.identity)) {
    const text = `the identity ${identityUri(self)} is not that of the credentials`;
    throw new LinkError('credentials-invalid', text, { hint: 'leave the identity out' });
  }
  if (credentials !== undefined) checkCredentials(credentials);
  return self;
}

/** @throws LinkError `credentials-invalid` */
function whole(credentials: TlsCredentials): TlsCredentials {
  if (isObject(credentials) && isObject(credentials.identity)) return credentials;
  // Nobody is to wait for one that fails.
  if (types.isPromise(credentials)) credentials.catch(() => undefined);
  const text = `credentials without an identity: ${kindOf(credentials)}`;
  throw new LinkError('credentials-invalid', text, {
    hint: 'they are { identity, certChainPem, keyPem, caPem }; a function returns them at once, and no promise',
  });
}

/** What was given instead, by the names of its parts alone: one of them may be a private key. */
function kindOf(credentials: unknown): string {
  if (types.isPromise(credentials)) return 'a promise';
  return isObject(credentials)
    ? `an object of ${shown(Object.keys(credentials as object))}`
    : shown(credentials);
}

function isObject(given: unknown): boolean {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}
