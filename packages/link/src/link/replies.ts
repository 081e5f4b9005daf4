import { randomBytes } from 'node:crypto';
import { errorText, RoutyError } from '@routy/proto/base';
import { negotiate, notSpoken } from '@routy/proto/session';
import { type OpenPayload, openFault } from '@routy/proto/wire';
import { afterAnswerMs } from '../driver/answer-time.ts';
import type { IncomingStream } from '../driver/driver-types.ts';
import type { Protocols } from '../protocols/protocols.ts';
import type { Statistics } from '../stats/statistics.ts';
import { refusalSaid, resetCodeOf, StreamResetError } from '../streams/adapters/byte-channel.ts';
import type { MessageCodec } from '../streams/adapters/message-options.ts';
import { following, untilAborted } from '../transport/deadline.ts';
import { type Protocol, runHandler, spoken } from './incoming.ts';
import type { Peer } from './peer/peer.ts';
import type { LinkSession } from './session/link-session.ts';
import type { GoOn, LinkStream } from './session/link-stream.ts';
import { ANSWER_MS, acceptStream, openStream, refusal } from './session/opening.ts';
import {
  CALL,
  offerOf,
  openRequest,
  REPLY_ID,
  type StreamRequest,
} from './session/stream-request.ts';

/** A request as it is sent; what the answer says, where no stream comes. */
type Call = OpenPayload & { readonly inReplyTo: string };
type Refusal = { readonly refused: string; readonly reason: string };

const JSON_CODEC: MessageCodec<unknown> = {
  encode: (message) => Buffer.from(JSON.stringify(message)),
  decode: (bytes) => {
    try {
      return JSON.parse(Buffer.from(bytes).toString()) as unknown;
    } catch (error) {
      // The peer's failure, and nobody else's.
      throw new StreamResetError('cancelled', `${CALL}: ${errorText(error)}`);
    }
  },
};

const NOBODY_WAITS = 'nobody waits for it';

interface Awaited {
  readonly session: LinkSession;
  readonly request: StreamRequest;
  /** The stream has come; what it is answered with is decided. */
  came(incoming: IncomingStream): void;
}

/** Who answers requests. */
export interface RepliesOwner {
  readonly protocols: Protocols<Protocol>;
  readonly statistics: Statistics;
  onAcceptError(error: unknown, protocol: string): void;
  /** What becomes of a stream that its opener goes on with. */
  goOn(session: LinkSession): GoOn;
}

/** Streams that peers are asked to open towards this end, and those opened towards them. */
export class Replies {
  readonly #owner: RepliesOwner;
  /** By the service that their stream has. */
  readonly #awaited = new Map<string, Awaited>();

  constructor(owner: RepliesOwner) {
    this.#owner = owner;
  }

  /**
   * Asks the peer of a session to open a stream, and resolves with it.
   *
   * @throws StreamResetError with the peer's code, `target-timeout` when it does not answer in
   *   time, or what `signal` fired with
   */
  async ask(
    session: LinkSession,
    request: StreamRequest,
    signal: AbortSignal | undefined,
  ): Promise<LinkStream> {
    const inReplyTo = `re-${randomBytes(8).toString('hex')}`;
    const { protocol, answerMs = ANSWER_MS } = request;
    const call: Call = { ...openRequest(request), inReplyTo };
    const { controller, leave } = following(signal);
    const stopAwaiting = afterAnswerMs(session.driver, answerMs, (reason) =>
      controller.abort(refusal('target-timeout', reason, protocol, 'reply')),
    );
    const coming = this.#await(inReplyTo, session, request);
    const wait = { answerMs, signal: controller.signal };
    const refused = this.#refusalOf(session, call, coming, wait);
    try {
      const what = `asking for ${protocol}`;
      return await untilAborted(Promise.race([coming, refused]), controller.signal, what);
    } catch (error) {
      // Without a call that waits for it, what comes all the same is nobody's.
      controller.abort(error);
      coming.then((stream) => stream.reset('cancelled', NOBODY_WAITS)).catch(() => undefined);
      throw error;
    } finally {
      leave();
      stopAwaiting();
      this.#awaited.delete(inReplyTo);
    }
  }

  /** Takes a stream that was opened in reply; false when it is none. */
  take(incoming: IncomingStream, session: LinkSession): boolean {
    const { service } = incoming.request;
    if (!REPLY_ID.test(service)) return false;
    const awaited = this.#awaited.get(service);
    const isFor =
      awaited?.session === session && awaited.request.protocol === incoming.request.protocol;
    if (!isFor) {
      incoming.refuse('cancelled', NOBODY_WAITS);
      return true;
    }
    // A further one, in the same round say, would be nobody's.
    this.#awaited.delete(service);
    awaited.came(incoming);
    return true;
  }

  /** What `link-call` does: opens the stream that a peer asks for. */
  async answer(stream: LinkStream, peer: Peer, session: LinkSession): Promise<void> {
    const messages = stream.messages({ codecs: { 1: JSON_CODEC } });
    const first = await messages.receive();
    try {
      if (first.done) throw new StreamResetError('cancelled', 'nothing was asked for');
      const call = checkedCall(first.value);
      const { protocol } = await spoken(this.#owner.protocols, call);
      if (protocol.reply === undefined) {
        const reason = `${call.protocol} is opened, and not asked for: use peer.open`;
        throw new StreamResetError('unsupported-protocol', reason);
      }
      const reply = await this.#open(session, protocol, call);
      void runHandler(protocol.name, reply, this.#owner, () =>
        protocol.reply!(reply, peer, call.service),
      );
    } catch (error) {
      if (!(error instanceof RoutyError)) throw error;
      const refusal: Refusal = { refused: resetCodeOf(error), reason: error.message };
      await messages.send(refusal);
    }
    messages.end();
    await messages.receive();
  }

  #await(id: string, session: LinkSession, request: StreamRequest): Promise<LinkStream> {
    return new Promise((resolve, reject) => {
      const came = (incoming: IncomingStream) => {
        const own = offerOf(request);
        const picked = negotiate(incoming.request, own);
        if (picked === undefined) {
          const reason = notSpoken(request.protocol, incoming.request, own);
          incoming.refuse('unsupported-version', reason);
          reject(refusal('unsupported-version', reason, request.protocol, 'reply'));
          return;
        }
        const { protocol, service = 'main', class: className = protocol } = request;
        const facts = { protocol, service, picked, class: className };
        resolve(
          acceptStream(incoming, session, this.#owner.statistics, facts, this.#owner.goOn(session)),
        );
      };
      this.#awaited.set(id, { session, request, came });
    });
  }

  /** Rejects when the peer says no; that it says nothing means that the stream has come, or comes. */
  async #refusalOf(
    session: LinkSession,
    call: Call,
    coming: Promise<LinkStream>,
    { answerMs, signal }: { readonly answerMs: number; readonly signal: AbortSignal },
  ): Promise<LinkStream> {
    const asking = { protocol: CALL, answerMs };
    const stream = await openStream(session, asking, this.#owner.statistics, signal);
    const messages = stream.messages({ codecs: { 1: JSON_CODEC }, signal });
    void messages.send(call).catch(() => undefined);
    messages.end();
    const answer = await messages.receive();
    if (answer.done) return coming;
    const { code, message } = refusalSaid(answer.value);
    throw refusal(code, message, call.protocol, 'reply');
  }

  #open(session: LinkSession, protocol: Protocol, call: Call): Promise<LinkStream> {
    const { name, versions, capabilities, class: className = name } = protocol;
    const service = call.inReplyTo;
    const request = { protocol: name, versions, capabilities, service, class: className };
    return openStream(session, request, this.#owner.statistics, undefined);
  }
}

/** @throws StreamResetError `cancelled` when it is no request */
function checkedCall(message: unknown): Call {
  const call = (message ?? {}) as Call;
  const fault = openFault(call);
  const isId = typeof call.inReplyTo === 'string' && REPLY_ID.test(call.inReplyTo);
  if (fault === undefined && isId) return call;
  throw new StreamResetError('cancelled', `this is no request: ${fault ?? 'it has no id'}`);
}
