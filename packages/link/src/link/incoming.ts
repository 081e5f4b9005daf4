import { errorText } from '@routy/proto/base';
import type { IncomingStream } from '../driver/driver-types.ts';
import type { Protocols, SpokenProtocol } from '../protocols/protocols.ts';
import type { Statistics } from '../stats/statistics.ts';
import { resetCodeOf, StreamResetError } from '../streams/adapters/byte-channel.ts';
import type { LinkSession } from './session/link-session.ts';
import type { LinkStream } from './session/link-stream.ts';
import { beginStream } from './session/opening.ts';
import type { Peer } from './peer/peer.ts';
import { StreamJoint, type StreamOutcome } from './session/stream-joint.ts';

/** A protocol that this side speaks, and what it does with streams of it. */
export interface Protocol extends SpokenProtocol {
  /** Versions that this side speaks, 1 to 65535, at most 32; the highest common one is picked. */
  readonly versions: readonly number[];
  /** Optional parts that this side can use. */
  readonly capabilities: readonly string[];
  /** What its counts are summed by; its name when left out. */
  readonly class?: string;
  /**
   * Takes a stream that the peer has opened; both ends know what was agreed. What it throws, or
   * rejects with, resets the stream.
   */
  accept(stream: LinkStream, peer: Peer): void | Promise<void>;
}

/** Who takes streams that peers open. */
export interface IncomingOwner {
  readonly protocols: Protocols<Protocol>;
  readonly statistics: Statistics;
  /** New streams are refused: this side stops. */
  readonly isDraining: boolean;
  peerOf(session: LinkSession): Peer;
  /** An accept function failed, and its stream was reset. */
  onAcceptError(error: unknown, protocol: string): void;
}

/** Answers a stream that a peer wants to open. */
export function takeIncoming(
  incoming: IncomingStream,
  session: LinkSession,
  owner: IncomingOwner,
): void {
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
    const { service } = incoming.request;
    let onEnd: (outcome: StreamOutcome) => void = () => undefined;
    const joint = new StreamJoint((outcome) => onEnd(outcome));
    incoming.accept(joint, picked);
    const { name, class: className = name } = protocol;
    const facts = { protocol: name, service, picked, class: className };
    const begun = beginStream(joint, session, owner.statistics, facts);
    onEnd = begun.onEnd;
    void runAccept(protocol, begun.stream, owner.peerOf(session), owner);
  });
  if (!isAnswered) incoming.onCancel = giveUp;
}

/** Runs an accept function; what it fails with resets the stream. */
async function runAccept(
  protocol: Protocol,
  stream: LinkStream,
  peer: Peer,
  owner: IncomingOwner,
): Promise<void> {
  try {
    await protocol.accept(stream, peer);
  } catch (error) {
    // That the peer has reset it is no failure of this side.
    const isPeers = stream.outcome !== undefined && error instanceof StreamResetError;
    const code = resetCodeOf(error);
    stream.reset(code === 'cancelled' ? 'internal' : code, errorText(error));
    if (!isPeers) owner.onAcceptError(error, protocol.name);
  }
}
