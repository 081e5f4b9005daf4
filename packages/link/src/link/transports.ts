import type { Identity } from '@routy/proto/base';
import { type Candidate, inFamilyOrder } from '../locators/candidate.ts';
import type { Locators } from '../locators/locators.ts';
import type { LogicalName } from '../locators/logical-name.ts';
import type { Lane } from '../transport/lane.ts';
import { LinkError } from '../transport/link-error.ts';
import { plainTransport } from '../transport/plain/plain-transport.ts';
import { raceCandidates } from '../transport/race.ts';
import type { TlsCredentials } from '../transport/tls/credentials.ts';
import { tlsTransport } from '../transport/tls/tls-transport.ts';
import type { Transport } from '../transport/transport.ts';

/** Where a link dials: candidates, or a name that locators turn into candidates at each attempt. */
export type Destination = Candidate | readonly Candidate[] | LogicalName;

/** A transport, or what makes it for the node that uses it. */
export type TransportMaker = Transport | ((self: Identity) => Transport);

/** The transports of a link by their names. */
export class Transports {
  readonly #byName = new Map<string, Transport>();

  /** `credentials`: for `tls`, which is not there without. */
  constructor(
    self: Identity,
    credentials: (() => TlsCredentials) | undefined,
    more: Readonly<Record<string, TransportMaker>>,
  ) {
    if (credentials !== undefined) this.#byName.set('tls', tlsTransport(credentials));
    this.#byName.set('tcp', plainTransport('tcp', self));
    this.#byName.set('unix', plainTransport('unix', self));
    for (const [name, maker] of Object.entries(more)) {
      this.#byName.set(name, typeof maker === 'function' ? maker(self) : maker);
    }
  }

  /**
   * @throws LinkError `transport-unknown`, or `insecure-not-allowed` for plain TCP where it was not
   *   said that nothing need be proven
   */
  get(name: string, insecure: boolean): Transport {
    const transport = this.#byName.get(name);
    if (transport === undefined) throw unknown(name, [...this.#byName.keys()]);
    if (name === 'tcp' && !insecure) {
      throw new LinkError(
        'insecure-not-allowed',
        'plain TCP encrypts nothing and proves nothing: whoever can connect can be any node',
        { hint: 'use the transport tls, or say insecure: true where that is what you want' },
      );
    }
    return transport;
  }
}

function unknown(name: string, known: readonly string[]): LinkError {
  const hint =
    name === 'tls'
      ? 'give createLink the credentials that TLS needs'
      : `known are ${known.join(', ')}; others are given to createLink as transports`;
  return new LinkError('transport-unknown', `there is no transport ${name}`, { hint });
}

/** How candidates are dialled. */
export interface DialHow {
  readonly insecure: boolean;
  /** Tried first when it is among the candidates: where the session that is to be resumed was. */
  readonly first: Candidate | undefined;
  readonly signal: AbortSignal;
}

/**
 * A lane to whichever candidate answers first, as RFC 8305 races them.
 *
 * @throws LinkError as `Locators.resolve`, `raceCandidates` and the transports say
 */
export async function dialDestination(
  destination: Destination,
  locators: Locators,
  transports: Transports,
  { insecure, first, signal }: DialHow,
): Promise<{ readonly lane: Lane; readonly candidate: Candidate }> {
  const found = await candidatesOf(destination, locators, signal);
  const candidates = withFirst(inFamilyOrder(found, 'ipv6'), first);
  return raceCandidates(
    candidates,
    async (candidate, own) => {
      const { transport, address } = candidate;
      const lane = await transports.get(transport, insecure).dial(address, own);
      return { lane, candidate };
    },
    { signal, discard: ({ lane }) => lane.destroy() },
  );
}

async function candidatesOf(
  destination: Destination,
  locators: Locators,
  signal: AbortSignal,
): Promise<readonly Candidate[]> {
  if (Array.isArray(destination)) return destination as readonly Candidate[];
  if (isCandidate(destination)) return [destination];
  return locators.resolve(destination as LogicalName, { signal });
}

function isCandidate(destination: Destination): destination is Candidate {
  return 'transport' in destination && 'address' in destination;
}

function withFirst(candidates: readonly Candidate[], first: Candidate | undefined): Candidate[] {
  const isFirst = (each: Candidate) => first !== undefined && sameCandidate(each, first);
  return [...candidates.filter(isFirst), ...candidates.filter((each) => !isFirst(each))];
}

function sameCandidate(one: Candidate, other: Candidate): boolean {
  return (
    one.transport === other.transport &&
    JSON.stringify(one.address) === JSON.stringify(other.address)
  );
}
