import { performance } from 'node:perf_hooks';
import { errorText } from '@routy/proto/base';
import type { Offer } from '@routy/proto/session';
import { type Agreement, openFault, type StreamCode } from '@routy/proto/wire';
import type { IncomingStream, OpenRequest } from '../../driver/driver-types.ts';
import type { Statistics } from '../../stats/statistics.ts';
import { StreamResetError } from '../../streams/adapters/byte-channel.ts';
import { abortReason } from '../../transport/deadline.ts';
import type { LinkSession } from './link-session.ts';
import { LinkStream, type StreamFacts } from './link-stream.ts';
import { StreamJoint, type StreamOutcome } from './stream-joint.ts';

/** What a stream is opened for. */
export interface StreamRequest {
  /** Name of the protocol, 1 to 64 characters. */
  readonly protocol: string;
  /** Those that this side speaks, 1 to 65535, at most 32; the highest common one is picked. */
  readonly versions?: readonly number[];
  /** Optional parts that this side can use, at most 64 of at most 64 characters. */
  readonly capabilities?: readonly string[];
  /** What it is for, beside the protocol; a name of 1 to 63 of a-z, 0-9, '-'. */
  readonly service?: string;
  /** What its counts are summed by; the protocol's name when left out. */
  readonly class?: string;
  /** How long the peer may take to answer while a lane carries the session, in ms; 10 s by default. */
  readonly answerMs?: number;
}

const ANSWER_MS = 10_000;
/** An OPEN names a service in any case. */
const NO_SERVICE = 'main';

/**
 * Opens a stream in a session; it may wait for a lane. Resolves when the peer has agreed.
 *
 * @throws StreamResetError with the peer's code, as `unsupported-version`; TypeError when no peer could
 *   be asked so; or what `signal` fired with
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
      reject(abortReason(signal));
      return;
    }
    const asked = openRequest(request);
    const fault = openFault(asked);
    if (fault !== undefined) throw new TypeError(`this stream cannot be asked for: ${fault}`);
    const opened = new StreamOpening(session, request, statistics, signal, resolve, reject);
    session.driver.open(asked, opened.joint, {
      answerMs,
      onAccepted: (picked) => opened.accepted(picked),
    });
  });
}

/** What a request offers. */
export function offerOf({ versions = [1], capabilities = [] }: StreamRequest): Offer {
  return { versions, capabilities };
}

/** OPEN for a request. */
export function openRequest(request: StreamRequest): OpenRequest {
  const { protocol, service = NO_SERVICE } = request;
  return { protocol, ...offerOf(request), service };
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
  #onEnd: (outcome: StreamOutcome) => void = (outcome) => this.#refused(outcome);

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
    this.joint = new StreamJoint((outcome) => this.#onEnd(outcome));
    signal?.addEventListener('abort', this.#stop, { once: true });
  }

  accepted(picked: Agreement): void {
    this.#signal?.removeEventListener('abort', this.#stop);
    const { protocol, service = NO_SERVICE, class: className = protocol } = this.#request;
    const { stream, onEnd } = beginStream(this.joint, this.#session, this.#statistics, {
      protocol,
      service,
      picked,
      class: className,
    });
    this.#onEnd = onEnd;
    this.#resolve(stream);
  }

  #refused({ code = 'cancelled', reason }: StreamOutcome): void {
    this.#signal?.removeEventListener('abort', this.#stop);
    const isOurs = this.#signal?.aborted === true;
    this.#reject(isOurs ? abortReason(this.#signal!) : refusal(this.#request, code, reason));
  }
}

/** Accepts a stream that the peer has opened, as was agreed. */
export function acceptStream(
  incoming: IncomingStream,
  session: LinkSession,
  statistics: Statistics,
  facts: StreamFacts,
): LinkStream {
  let onEnd = (): void => undefined;
  const joint = new StreamJoint(() => onEnd());
  incoming.accept(joint, facts.picked);
  const begun = beginStream(joint, session, statistics, facts);
  onEnd = begun.onEnd;
  return begun.stream;
}

/** The stream of a joint that both ends have agreed on, with its counts. */
function beginStream(
  joint: StreamJoint,
  session: LinkSession,
  statistics: Statistics,
  facts: StreamFacts,
): { readonly stream: LinkStream; readonly onEnd: () => void } {
  const name = `${session.name} ${facts.protocol} ${joint.stream!.id}`;
  const meter = statistics.begin(performance.now(), 'stream', facts.class, name);
  joint.countFor(meter);
  joint.countFor(session.meter);
  return { stream: new LinkStream(joint, facts), onEnd: () => meter.end() };
}

function refusal({ protocol }: StreamRequest, code: StreamCode, reason: string): StreamResetError {
  return new StreamResetError(code, reason, HINTS[code]?.(protocol));
}

/** What to do about it, where that is known. */
const HINTS: Partial<Record<StreamCode, (protocol: string) => string>> = {
  'unsupported-protocol': (name) =>
    `register it at the peer: link.protocol({ name: '${name}', … }); it may be starting, or its owner gone`,
  'unsupported-version': () =>
    'let one end speak a version of the other; the reason names those of both',
  overload: () => 'the peer is at its limits: open again later, or raise limits there',
  draining: () => 'the peer is stopping: open at another node, or when it is back',
  'target-timeout': () => 'the accept function of the peer did not answer in time',
  'session-lost': () => 'open it again when the peer is up',
};
