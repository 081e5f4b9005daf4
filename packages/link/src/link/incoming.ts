import { errorText } from '@routy/proto/base';
import type { Agreement, OpenPayload } from '@routy/proto/wire';
import type { IncomingStream } from '../driver/driver-types.ts';
import type { Protocols, SpokenProtocol } from '../protocols/protocols.ts';
import type { Statistics } from '../stats/statistics.ts';
import { resetCodeOf, StreamResetError } from '../streams/adapters/byte-channel.ts';
import type { LinkSession } from './session/link-session.ts';
import type { GoOn, LinkStream, TakeTurn } from './session/link-stream.ts';
import { acceptStream } from './session/opening.ts';
import type { Peer } from './peer/peer.ts';
import type { ProtocolOptions } from './protocol-options.ts';

/** A protocol that this side speaks, and what it does with streams of it. */
export interface Protocol extends SpokenProtocol, Pick<ProtocolOptions, 'class' | 'reply'> {
  /** That of {@link ProtocolOptions}, which need not know of the session. */
  accept?(stream: LinkStream, peer: Peer, session: LinkSession): void | Promise<void>;
}

/** Who takes streams that peers open. */
export interface IncomingOwner {
  readonly protocols: Protocols<Protocol>;
  readonly statistics: Statistics;
  /** New streams are refused: this side stops. */
  readonly isDraining: boolean;
  peerOf(session: LinkSession): Peer;
  /** Takes a stream that this side has asked for; false when it is none. */
  takeReply(incoming: IncomingStream, session: LinkSession): boolean;
  /** An accept function failed, and its stream was reset. */
  onAcceptError(error: unknown, protocol: string): void;
}

/** Answers a stream that a peer wants to open. */
export function takeIncoming(
  incoming: IncomingStream,
  session: LinkSession,
  owner: IncomingOwner,
): void {
  if (owner.takeReply(incoming, session)) return;
  if (owner.isDraining) {
    incoming.refuse('draining', 'this node is stopping');
    return;
  }
  let isAnswered = false;
  const giveUp = owner.protocols.answer(incoming.request, (answer) => {
    isAnswered = true;
    incoming.onCancel = undefined;
    if (!answer.ok) {
      incoming.refuse(answer.code, answer.reason);
      return;
    }
    const { protocol, picked } = answer;
    if (protocol.accept === undefined) {
      incoming.refuse('unsupported-protocol', onlyReplies(protocol));
      return;
    }
    const { service } = incoming.request;
    const { name, class: className = name } = protocol;
    const facts = { protocol: name, service, picked, class: className };
    const goOn: GoOn = (take) => takeOn(take, session, owner);
    const stream = acceptStream(incoming, session, owner.statistics, facts, goOn);
    accepted(protocol, stream, session, owner);
  });
  if (!isAnswered) incoming.onCancel = giveUp;
}

function accepted(
  protocol: Protocol,
  stream: LinkStream,
  session: LinkSession,
  owner: IncomingOwner,
): void {
  const peer = owner.peerOf(session);
  void runHandler(protocol.name, stream, owner, () => protocol.accept!(stream, peer, session));
}

function onlyReplies({ name }: Protocol): string {
  return `${name} is asked for, and not opened: use peer.request`;
}

/** A stream whose first conversation is over goes on in another protocol. */
export async function takeOn(
  take: TakeTurn,
  session: LinkSession,
  owner: IncomingOwner,
): Promise<void> {
  let found: Protocol | undefined;
  const next = await take(async (request) => {
    const { protocol, picked } = await spoken(owner.protocols, request);
    if (protocol.accept === undefined)
      throw new StreamResetError('unsupported-protocol', onlyReplies(protocol));
    found = protocol;
    return picked;
  });
  if (next === undefined || found === undefined) return;
  accepted(found, next(found.class ?? found.name), session, owner);
}

/**
 * Who speaks what is asked for.
 *
 * @throws StreamResetError `unsupported-protocol`, `unsupported-version`
 */
export function spoken(
  protocols: Protocols<Protocol>,
  request: OpenPayload,
): Promise<{ readonly protocol: Protocol; readonly picked: Agreement }> {
  return new Promise((resolve, reject) => {
    protocols.answer(request, (answer) => {
      if (answer.ok) resolve(answer);
      else reject(new StreamResetError(answer.code, answer.reason));
    });
  });
}

/** Runs what takes a stream; what it fails with resets the stream. */
export async function runHandler(
  protocol: string,
  stream: LinkStream,
  owner: Pick<IncomingOwner, 'onAcceptError'>,
  handle: () => void | Promise<void>,
): Promise<void> {
  try {
    await handle();
  } catch (error) {
    // That the peer has reset it is no failure of this side.
    const isPeers = stream.outcome !== undefined && error instanceof StreamResetError;
    const code = resetCodeOf(error);
    stream.reset(code === 'cancelled' ? 'internal' : code, errorText(error));
    if (!isPeers) owner.onAcceptError(error, protocol);
  }
}
