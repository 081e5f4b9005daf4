import { performance } from 'node:perf_hooks';
import type { Identity } from '@routy/proto/base';
import {
  type Absorb,
  agreementFault,
  PLAIN,
  type Session,
  type SessionEvent,
} from '@routy/proto/session';
import { type Agreement, openFault, type StreamCode } from '@routy/proto/wire';
import type { ByteReceiver } from '../streams/byte-stream.ts';
import { ANSWER_LOOK_MS, answerTimeMs, noAnswerText } from './answer-time.ts';
import type { IncomingStream, OpenHandlers, OpenRequest } from './driver-types.ts';
import { type Opening, SessionStream, type SessionStreamHost } from './session-stream.ts';

/** Reads up to this size are sent on at once; after larger ones more usually follows. */
const PROMPT_BYTES_MAX = 8 * 1024;

/**
 * A peer that was not heard for so long may be gone, in ms. Where another node could serve, what a
 * client says is then not sent before the peer has answered: said to one, it can be said to no other.
 */
const QUIET_MS = 1000;

/** What the streams ask of the driver. */
export interface StreamSetHost {
  onStream(stream: IncomingStream): void;
  onMismatch(stream: number, reason: string): void;
  /** The session has something new to say: at the end of this round, or right now. */
  schedule(): void;
  promptly(nowMs: number): void;
  /** How long the peer has not been heard on any lane. */
  unheardMs(): number;
}

/** The streams of one session and what they end in. */
export class StreamEndpoints implements SessionStreamHost {
  readonly peer: Identity;
  readonly #session: Session;
  readonly #host: StreamSetHost;
  readonly #streams = new Map<number, SessionStream>();
  /** For bytes that are only lent to the session. */
  readonly absorb: Absorb = (stream, bytes) => this.#streams.get(stream)?.absorb(bytes) ?? 0;
  readonly #openings = new Map<number, Opening>();
  readonly #incoming = new Map<number, PendingStream>();
  #unflushed: SessionStream[] = [];
  /** Runs while there are opens without an answer. */
  #answerTimer: NodeJS.Timeout | undefined;
  /** Stands still while no lane could bring an answer, and while this process stands still. */
  #answerClockMs = 0;
  #lookedAtMs = 0;

  constructor(peer: Identity, session: Session, host: StreamSetHost) {
    this.peer = peer;
    this.#session = session;
    this.#host = host;
  }

  open(request: OpenRequest, receiver: ByteReceiver, handlers: OpenHandlers): void {
    const fault = openFault(request);
    if (fault !== undefined) throw new RangeError(`this stream cannot be asked for: ${fault}`);
    const result = this.#session.open(performance.now(), request);
    this.#host.schedule();
    if (!result.ok) {
      refused(receiver, handlers, result.code, result.reason);
      return;
    }
    const stream = new SessionStream(result.stream, request, this);
    this.#streams.set(stream.id, stream);
    const isHeld = handlers.mayMove === true && this.#host.unheardMs() > QUIET_MS;
    const giveUpAtMs = this.#awaitAnswer(handlers.answerMs);
    this.#openings.set(stream.id, { handlers, isHeld, giveUpAtMs });
    // As a rule reading starts before the answer: the first bytes travel with OPEN.
    stream.join(receiver);
    this.#read(stream.id);
  }

  /**
   * No lane carries the session. What its clients have not said yet is not taken, so that they may
   * still be served elsewhere, with no byte sent to two nodes.
   */
  suspend(): void {
    for (const id of this.#openings.keys()) {
      const receiver = this.#streams.get(id)?.receiver;
      if (receiver?.untouched === true) receiver.pause();
    }
  }

  /** A lane carries the session again: bytes follow their OPEN. */
  resume(): void {
    for (const stream of this.#openings.keys()) this.#read(stream);
  }

  /** Takes back opens that nobody has answered, see {@link SessionDriverApi.withdraw}. */
  withdraw(elsewhere: (service: string) => boolean): void {
    for (const [id, { handlers }] of [...this.#openings]) {
      const stream = this.#streams.get(id);
      if (stream?.untouched !== true || handlers.onWithdrawn === undefined) continue;
      if (!elsewhere(stream.service)) continue;
      // The peer may have the OPEN. It is told with the next RESUME, and drops what it began.
      this.reset(id, 'cancelled', 'opened at another node');
      stream.receiver!.detach();
      handlers.onWithdrawn();
    }
  }

  /** The time on the clock of answers at which an open of now is given up. */
  #awaitAnswer(answerMs: number): number {
    if (this.#answerTimer === undefined) {
      this.#lookedAtMs = performance.now();
      this.#answerTimer = setInterval(() => this.#lookForAnswers(), ANSWER_LOOK_MS).unref();
    }
    return this.#answerClockMs + ANSWER_LOOK_MS + answerMs;
  }

  /** A peer that answers PINGs and no OPEN would keep its clients waiting for ever. */
  #lookForAnswers(): void {
    const nowMs = performance.now();
    const sinceMs = nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    this.#answerClockMs += answerTimeMs(sinceMs, this.#session.suspended);
    for (const [stream, { giveUpAtMs, handlers }] of this.#openings) {
      if (giveUpAtMs > this.#answerClockMs) continue;
      const receiver = this.#streams.get(stream)?.receiver;
      const reason = noAnswerText(handlers.answerMs);
      this.reset(stream, 'cancelled', reason);
      receiver?.reset('target-timeout', reason);
    }
    if (this.#openings.size === 0) this.#stopAwaiting();
  }

  #stopAwaiting(): void {
    clearInterval(this.#answerTimer);
    this.#answerTimer = undefined;
  }

  /** Passes on an event of a stream; false for an event of the session. */
  dispatch(event: SessionEvent): boolean {
    switch (event.kind) {
      case 'data':
        this.#streams.get(event.stream)?.data(event.bytes);
        return true;
      case 'fin':
        this.#streams.get(event.stream)?.fin();
        return true;
      case 'writable':
        this.#read(event.stream);
        return true;
      case 'opened':
        this.#opened(event.stream, event.request);
        return true;
      case 'accepted':
        this.#accepted(event.stream, event.picked);
        return true;
      case 'finished':
        this.#take(event.stream)?.receiver?.finished();
        return true;
      case 'reset':
        this.#reset(event.stream, event.code, event.reason);
        return true;
      case 'closed':
        this.#cutAll(event.reason);
        return false;
      default:
        return false;
    }
  }

  /** The budget is used up: nothing is taken until its stream is `writable` again. */
  pauseAll(): void {
    for (const { receiver } of this.#streams.values()) receiver?.pause();
    this.#host.schedule();
  }

  /** Lets the receivers write what this round brought; false when there was nothing. */
  flush(): boolean {
    if (this.#unflushed.length === 0) return false;
    const unflushed = this.#unflushed;
    this.#unflushed = [];
    for (const stream of unflushed) stream.flush();
    return true;
  }

  /** The answer to an incoming stream: its bytes go to and come from `receiver`. */
  accept(stream: number, receiver: ByteReceiver, picked: Agreement): void {
    this.#incoming.delete(stream);
    this.#session.accept(stream, picked);
    this.#streams.get(stream)!.join(receiver);
    this.#read(stream);
    this.#host.schedule();
  }

  write(stream: number, chunk: Uint8Array): boolean {
    const nowMs = performance.now();
    const goOn = this.#session.write(nowMs, stream, chunk);
    if (chunk.length <= PROMPT_BYTES_MAX) this.#host.promptly(nowMs);
    else this.#host.schedule();
    return goOn;
  }

  end(stream: number): void {
    this.#session.end(stream);
    this.#host.schedule();
  }

  reset(stream: number, code: StreamCode, reason: string): void {
    this.#forget(stream);
    this.#session.reset(stream, code, reason);
    this.#host.schedule();
  }

  /** Ends a stream that goes on at both ends; nothing happens when it has ended. */
  cut(stream: number, code: StreamCode, reason: string): void {
    const receiver = this.#streams.get(stream)?.receiver;
    if (receiver === undefined) return;
    this.reset(stream, code, reason);
    receiver.reset(code, reason);
  }

  delivered(stream: number, bytes: number): void {
    this.#session.delivered(performance.now(), stream, bytes);
    this.#host.schedule();
  }

  finDelivered(stream: number): void {
    this.#session.finDelivered(stream);
    this.#host.schedule();
  }

  unflushed(stream: SessionStream): void {
    this.#unflushed.push(stream);
  }

  /** The budget may have been used up again since the session said so. */
  #read(stream: number): void {
    const receiver = this.#streams.get(stream)?.receiver;
    const opening = this.#openings.get(stream);
    const isHeld = opening !== undefined && (opening.isHeld || this.#session.suspended);
    if (isHeld && receiver?.untouched === true) return;
    if (this.#session.mayWrite(performance.now(), stream)) receiver?.writable();
  }

  #opened(id: number, request: OpenRequest): void {
    const stream = new SessionStream(id, request, this);
    this.#streams.set(id, stream);
    const pending = new PendingStream(this, id, stream.request);
    this.#incoming.set(id, pending);
    this.#host.onStream(pending);
  }

  #accepted(stream: number, picked: Agreement): void {
    const opening = this.#openings.get(stream);
    this.#openings.delete(stream);
    opening?.handlers.onAccepted(picked);
    if (opening?.isHeld === true) this.#read(stream);
  }

  #reset(stream: number, code: StreamCode, reason: string): void {
    if (code === 'resume-mismatch') this.#host.onMismatch(stream, reason);
    const opening = this.#openings.get(stream);
    const pending = this.#incoming.get(stream);
    const receiver = this.#streams.get(stream)?.receiver;
    this.#openings.delete(stream);
    this.#incoming.delete(stream);
    pending?.cancel();
    if (opening !== undefined && receiver?.untouched === true) {
      this.#forget(stream);
      receiver.detach();
      refused(receiver, opening.handlers, code, reason);
      return;
    }
    if (receiver?.reset(code, reason) === false) return;
    this.#forget(stream);
    // Where the receiver is gone nobody takes what came before.
    this.#session.reset(stream, 'cancelled', 'the connection is gone');
  }

  /** Also those that still take what came before their reset. */
  #cutAll(reason: string): void {
    this.#stopAwaiting();
    for (const { receiver } of this.#streams.values()) receiver?.reset('session-lost', reason);
    this.#streams.clear();
  }

  #take(id: number): SessionStream | undefined {
    const stream = this.#streams.get(id);
    this.#forget(id);
    return stream;
  }

  #forget(stream: number): void {
    this.#streams.delete(stream);
    this.#openings.delete(stream);
    this.#incoming.delete(stream);
  }
}

/** A stream of the peer that waits for this node's answer. */
class PendingStream implements IncomingStream {
  readonly request: OpenRequest;
  onCancel: (() => void) | undefined;
  readonly #streams: StreamEndpoints;
  readonly #stream: number;
  #answered = false;

  constructor(streams: StreamEndpoints, stream: number, request: OpenRequest) {
    this.#streams = streams;
    this.#stream = stream;
    this.request = request;
  }

  accept(receiver: ByteReceiver, picked: Agreement = PLAIN): void {
    if (this.#answered) return;
    const fault = agreementFault(this.request, picked);
    if (fault !== undefined) throw new RangeError(`${this.request.protocol}: ${fault}`);
    this.#answered = true;
    this.#streams.accept(this.#stream, receiver, picked);
  }

  refuse(code: StreamCode, reason: string): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#streams.reset(this.#stream, code, reason);
  }

  reset(code: StreamCode, reason: string): void {
    this.#streams.cut(this.#stream, code, reason);
  }

  cancel(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.onCancel?.();
  }
}

/** Nothing of the receiver was taken: its owner may use it elsewhere, else it is reset. */
function refused(
  receiver: ByteReceiver,
  handlers: OpenHandlers,
  code: StreamCode,
  reason: string,
): void {
  if (handlers.onRefused?.(code, reason) !== true) receiver.reset(code, reason);
}
