import { expectFunction, expectObject, expectText, type KeysOf } from '../arguments/arguments.ts';
import { mustBeAskable } from '../protocols/askable.ts';
import { LinkError } from '../transport/link-error.ts';
import type { Peer } from './peer/peer.ts';
import type { LinkStream } from './session/link-stream.ts';
import { CALL, CLASS_CHARS_MAX, expectLists } from './session/stream-request.ts';

/** A protocol to be registered. It has `accept`, `reply` or both. */
export interface ProtocolOptions {
  /** 1 to 63 of a-z, 0-9, '-', not beginning or ending with '-'. */
  readonly name: string;
  /**
   * Versions that this side speaks, 1 to 65535, at most 32; version 1 alone by default. The highest one
   * that both ends speak is picked.
   */
  readonly versions?: readonly number[];
  /** Optional parts that this side can use, at most 64 of at most 64 characters; none by default. */
  readonly capabilities?: readonly string[];
  /** What its counts are summed by; its name when left out. */
  readonly class?: string;
  /**
   * Takes a stream that the peer has opened; both ends know what was agreed. What it throws, or
   * rejects with, resets the stream. Without it the peer may only ask for such streams.
   */
  accept?(stream: LinkStream, peer: Peer): void | Promise<void>;
  /** Takes a stream that this side has opened since the peer asked for it, for that `service`. */
  reply?(stream: LinkStream, peer: Peer, service: string): void | Promise<void>;
}

const KEYS: KeysOf<ProtocolOptions> = {
  name: true,
  versions: true,
  capabilities: true,
  class: true,
  accept: true,
  reply: true,
};

/**
 * A protocol as its owner gives it; its functions stay methods of it.
 *
 * @throws LinkError `argument-invalid` where nobody could ask for it, or nothing would take its streams
 */
export function checkedProtocol(
  protocol: ProtocolOptions,
): ProtocolOptions & Required<Pick<ProtocolOptions, 'versions' | 'capabilities'>> {
  expectObject('protocol', protocol, KEYS);
  const { name, class: className, versions = [1], capabilities = [] } = protocol;
  expectLists('protocol', protocol);
  mustBeAskable(`protocol ${shown(name)}`, {
    protocol: name,
    versions,
    capabilities,
    service: 'x',
  });
  expectText(`class of protocol ${name}`, className, CLASS_CHARS_MAX);
  for (const what of ['accept', 'reply'] as const)
    expectFunction(`${what} of protocol ${name}`, protocol[what]);
  if (protocol.accept === undefined && protocol.reply === undefined)
    throw new LinkError('argument-invalid', `protocol ${name} takes no stream`, {
      hint: 'give it accept, for streams that peers open, or reply, for those they ask for',
    });
  if (name === CALL)
    throw new LinkError('argument-invalid', `protocol ${name} is the link's own`, {
      hint: 'give it another name',
    });
  return {
    name,
    versions: [...versions],
    capabilities: [...capabilities],
    ...(className !== undefined && { class: className }),
    // What takes streams of `accept` gives it more than it need know.
    ...(protocol.accept && { accept: (stream, peer) => protocol.accept!(stream, peer) }),
    ...(protocol.reply && { reply: protocol.reply.bind(protocol) }),
  };
}

function shown(name: unknown): string {
  return typeof name === 'symbol' ? 'without a name' : String(name);
}
