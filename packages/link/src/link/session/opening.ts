import { performance } from 'node:perf_hooks';
import { errorText } from '@routy/proto/base';
import type { Agreement, StreamCode } from '@routy/proto/wire';
import type { IncomingStream } from '../../driver/driver-types.ts';
import type { Statistics } from '../../stats/statistics.ts';
import { StreamResetError } from '../../streams/adapters/byte-channel.ts';
import { abortReason, onAbort } from '../../transport/deadline.ts';
import type { LinkSession } from './link-session.ts';
import { type GoOn, LinkStream, type StreamFacts } from './link-stream.ts';
import { StreamJoint, type StreamOutcome } from './stream-joint.ts';
import { NO_SERVICE, openRequest, type StreamRequest } from './stream-request.ts';

/** How long a peer may take to answer where nothing else is said, in ms. */
export const ANSWER_MS = 10_000;

/**
 * Opens a stream in a session; it may wait for a lane. Resolves when the peer has agreed.
 *
 * @throws StreamResetError with the peer's code, as `unsupported-version`, or what `signal` fired with
 */
export function openStream(
  session: LinkSession,
  request: StreamRequest,
  statistics: Statistics,
  signal: AbortSignal | undefined,
): Promise<LinkStream> {
  const { answerMs = ANSWER_MS } = request;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortReason(signal, `opening ${request.protocol}`));
      return;
    }
    const asked = openRequest(request);
    const opened = new StreamOpening(session, request, statistics, signal, resolve, reject);
    session.driver.open(asked, opened.joint, {
      answerMs,
      onAccepted: (picked) => opened.accepted(picked),
    });
  });
}

/** One open until the peer has answered. */
class StreamOpening {
  readonly joint: StreamJoint;
  readonly #session: LinkSession;
  readonly #request: StreamRequest;
  readonly #statistics: Statistics;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (stream: LinkStream) => void;
  readonly #reject: (error: Error) => void;
  readonly #stop = () => this.joint.abort('cancelled', errorText(this.#signal?.reason));

  constructor(
    session: LinkSession,
    request: StreamRequest,
    statistics: Statistics,
    signal: AbortSignal | undefined,
    resolve: (stream: LinkStream) => void,
    reject: (error: Error) => void,
  ) {
    this.#session = session;
    this.#request = request;
    this.#statistics = statistics;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.joint = new StreamJoint((outcome) => this.#refused(outcome));
    if (signal !== undefined) onAbort(signal, this.#stop);
  }

  accepted(picked: Agreement): void {
    this.#signal?.removeEventListener('abort', this.#stop);
    const { protocol, service = NO_SERVICE, class: className = protocol } = this.#request;
    this.joint.agreed();
    const facts = { protocol, service, picked, class: className };
    const begin = (next: StreamFacts) =>
      beginStream(this.joint, this.#session, this.#statistics, next);
    begin(facts);
    this.#resolve(new LinkStream(this.joint, facts, { role: 'opener', begin }));
  }

  #refused({ code = 'cancelled', reason }: StreamOutcome): void {
    this.#signal?.removeEventListener('abort', this.#stop);
    const isOurs = this.#signal?.aborted === true;
    const { protocol } = this.#request;
    this.#reject(
      isOurs
        ? abortReason(this.#signal!, `opening ${protocol}`)
        : refusal(code, reason, protocol, 'accept'),
    );
  }
}

/** Accepts a stream that the peer has opened, as was agreed; `goOn` takes it when it goes on. */
export function acceptStream(
  incoming: IncomingStream,
  session: LinkSession,
  statistics: Statistics,
  facts: StreamFacts,
  goOn: GoOn,
): LinkStream {
  const joint = new StreamJoint();
  incoming.accept(joint, facts.picked);
  const begin = (next: StreamFacts) => beginStream(joint, session, statistics, next);
  begin(facts);
  return new LinkStream(joint, facts, { role: 'acceptor', begin, goOn });
}

/** From now on it counts for what was agreed on. */
function beginStream(
  joint: StreamJoint,
  session: LinkSession,
  statistics: Statistics,
  facts: StreamFacts,
): void {
  const name = `${session.name} ${facts.protocol} ${joint.stream!.id}`;
  const meter = statistics.begin(performance.now(), 'stream', facts.class, name);
  joint.countAs(meter, session.meter);
}

/** A peer's no, with what to do about it; `how` it would have taken the stream. */
export function refusal(
  code: StreamCode,
  reason: string,
  protocol: string,
  how: 'accept' | 'reply',
): StreamResetError {
  return new StreamResetError(code, reason, HINTS[code]?.(protocol, how));
}

/** What to do about it, where that is known. */
const HINTS: Partial<Record<StreamCode, (protocol: string, how: string) => string>> = {
  'unsupported-protocol': (name, how) =>
    `register it at the peer: link.protocol({ name: '${name}', ${how}: … }); it may be starting, or its owner gone`,
  'unsupported-version': () => 'let one end speak a version of the other',
  overload: () => 'the peer is at its limits: open again later, or raise limits there',
  draining: () => 'the peer is stopping: open at another node, or when it is back',
  'target-timeout': () => 'the accept function of the peer did not answer in time',
  'session-lost': () => 'open it again when the peer is up',
};
