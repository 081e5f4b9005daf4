import type { Identity } from '@routy/proto/base';
import { expectText } from '../arguments/arguments.ts';
import { TRANSPORT_CHARS_MAX } from '../locators/candidate.ts';
import { invalidArgument, LinkError } from '../transport/link-error.ts';
import { plainTransport } from '../transport/plain/plain-transport.ts';
import type { TlsCredentials } from '../transport/tls/credentials.ts';
import { tlsTransport } from '../transport/tls/tls-transport.ts';
import type { Transport } from '../transport/transport.ts';

/** A transport, or what makes it for the node that uses it. */
export type TransportMaker = Transport | ((self: Identity) => Transport);

/** The transports of a link by their names. */
export class Transports {
  readonly #byName = new Map<string, Transport>();

  /**
   * `credentials`: for `tls`, which is not there without.
   *
   * @throws LinkError `argument-invalid`
   */
  constructor(
    self: Identity,
    credentials: (() => TlsCredentials) | undefined,
    more: Readonly<Record<string, TransportMaker>> = {},
  ) {
    if (typeof more !== 'object' || more === null || Array.isArray(more))
      throw invalidArgument('transports', 'an object of transports by name', more);
    if (credentials !== undefined) this.#byName.set('tls', tlsTransport(credentials));
    this.#byName.set('tcp', plainTransport('tcp', self));
    this.#byName.set('unix', plainTransport('unix', self));
    for (const [name, maker] of Object.entries(more)) {
      expectText('the name of a transport', name, TRANSPORT_CHARS_MAX);
      this.#byName.set(name, checked(name, typeof maker === 'function' ? maker(self) : maker));
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

function checked(name: string, transport: Transport): Transport {
  const { dial, listen, isProven } = (transport ?? {}) as Partial<Transport>;
  const isWhole = typeof dial === 'function' && typeof listen === 'function';
  if (isWhole && typeof isProven === 'boolean') return transport;
  const wanted = 'a Transport, { isProven, dial, listen }, or a function that returns one';
  throw invalidArgument(`transports.${name}`, wanted, transport);
}

function unknown(name: string, known: readonly string[]): LinkError {
  const hint =
    name === 'tls'
      ? 'give createLink the credentials that TLS needs'
      : `known are ${known.join(', ')}; others are given to createLink as transports`;
  return new LinkError('transport-unknown', `there is no transport ${name}`, { hint });
}
