import { errorText, RoutyError } from '@routy/proto/base';
import { agreementFault } from '@routy/proto/session';
import { type Agreement, type OpenPayload, openFault } from '@routy/proto/wire';
import { refusalSaid, resetCodeOf, StreamResetError } from '../../streams/adapters/byte-channel.ts';
import type { MessageStream } from '../../streams/adapters/message-stream.ts';
import { abortReason, onAbort } from '../../transport/deadline.ts';
import { LinkError } from '../../transport/link-error.ts';

/** A stream of messages of any kind: a turn knows nothing of them. */
export type AnyMessages = MessageStream<never>;

/** What an end has to do with a turn that it takes: asked for, judged, and gone on with. */
export type JudgeTurn = (request: OpenPayload) => Promise<Agreement>;

/** Most bytes of what is said in a turn. */
const TEXT_BYTES_MAX = 4096;

/**
 * The opener's side: ends its part of the conversation and asks for another protocol. Resolves when
 * the peer has ended its part and agreed; the stream is at the first byte of the next protocol then.
 *
 * @throws StreamResetError with the peer's code, LinkError `become-too-late` when the peer has ended the
 *   stream, or what `signal` fired with: the stream is at its end in any case
 */
export async function askTurn(
  messages: AnyMessages,
  request: OpenPayload,
  signal: AbortSignal | undefined,
): Promise<Agreement> {
  const stop = () => messages.reset('cancelled', errorText(signal?.reason));
  if (signal !== undefined) onAbort(signal, stop);
  if (signal?.aborted) stop();
  try {
    await messages.mark(encode(request));
    if (!(await messages.untilMark())) {
      await messages.giveUpTurn();
      throw new LinkError('become-too-late', 'the peer has ended the stream already');
    }
    return picked(request, decode(await messages.afterMark()));
  } catch (error) {
    if (error instanceof TurnRefused) await messages.giveUpTurn();
    else messages.giveUp(errorText(error));
    throw signal?.aborted ? abortReason(signal, `becoming ${request.protocol}`) : error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** The acceptor's side, which has ended its part, too. Undefined when it could not agree. */
export async function answerTurn(
  messages: AnyMessages,
  judge: JudgeTurn,
): Promise<{ readonly request: OpenPayload; readonly picked: Agreement } | undefined> {
  const text = await messages.afterMark();
  try {
    const request = checkedRequest(decode(text));
    const agreed = await judge(request);
    await messages.mark(encode(agreed));
    return { request, picked: agreed };
  } catch (error) {
    if (!(error instanceof RoutyError)) throw error;
    await messages.mark(encode({ refused: resetCodeOf(error), reason: error.message }));
    await messages.giveUpTurn();
    return undefined;
  }
}

/** The peer has said no, and ends the stream. */
class TurnRefused extends StreamResetError {}

function picked(request: OpenPayload, answer: unknown): Agreement {
  const { refused, version, capabilities } = (answer ?? {}) as Record<string, unknown>;
  if (typeof refused === 'string') {
    const { code, message } = refusalSaid(answer);
    throw new TurnRefused(code, message);
  }
  const agreed = { version, capabilities } as Agreement;
  const isShaped =
    typeof version === 'number' &&
    Array.isArray(capabilities) &&
    capabilities.every((name) => typeof name === 'string');
  const fault = isShaped ? agreementFault(request, agreed) : 'it is no agreement';
  if (fault !== undefined) throw new StreamResetError('internal', `the peer's answer: ${fault}`);
  return agreed;
}

/** @throws StreamResetError `cancelled` */
function checkedRequest(request: unknown): OpenPayload {
  const asked = (request ?? {}) as OpenPayload;
  const fault = openFault(asked);
  if (fault === undefined) return asked;
  throw new StreamResetError('cancelled', `this is no request: ${fault}`);
}

function encode(what: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(what));
}

function decode(text: Uint8Array): unknown {
  try {
    if (text.length > TEXT_BYTES_MAX) return undefined;
    return JSON.parse(Buffer.from(text).toString()) as unknown;
  } catch {
    return undefined;
  }
}
