import { type Identity, invariant } from '@routy/proto/base';
import { ByteQueue } from '@routy/proto/session';
import type { StreamCode } from '@routy/proto/wire';
import type { Meter } from '../../stats/statistics.ts';
import type { ByteReceiver, ByteStream } from '../../streams/byte-stream.ts';

/** How a stream ended; `code` is undefined when both directions ended in order. */
export interface StreamOutcome {
  /** Why it was reset, by either end or with its session; undefined after an end in order. */
  readonly code: StreamCode | undefined;
  /** One line for people; empty after an end in order. */
  readonly reason: string;
}

/**
 * Between a session and what a stream ends in, which may come later than the stream: what comes
 * before waits here, within the stream's credit. It counts the bytes that pass.
 */
export class StreamJoint implements ByteReceiver {
  #onEnd: ((outcome: StreamOutcome) => void) | undefined;
  readonly #meters: Meter[] = [];
  #stream: ByteStream | undefined;
  #receiver: ByteReceiver | undefined;
  #early: ByteQueue | undefined;
  #hasEarlyFin = false;
  #isFinDelivered = false;
  #isWritable = false;
  #isReplaying = false;
  #wantsFlush = false;
  /** Bytes that a former receiver has taken and given back: they were said to be delivered. */
  #givenBack = 0;
  #outcome: StreamOutcome | undefined;

  /** `onEnd` is called once, whoever ends the stream, unless it has been {@link agreed}. */
  constructor(onEnd?: (outcome: StreamOutcome) => void) {
    this.#onEnd = onEnd;
  }

  /** Nobody need be told of its end any more. */
  agreed(): void {
    this.#onEnd = undefined;
  }

  /** Undefined until it is opened or accepted. */
  get stream(): ByteStream | undefined {
    return this.#stream;
  }

  /** Undefined while it goes on. */
  get outcome(): StreamOutcome | undefined {
    return this.#outcome;
  }

  get hasReceiver(): boolean {
    return this.#receiver !== undefined;
  }

  /** What passes from now on counts for these and no others; the first one ends with it. */
  countAs(own: Meter, ...more: readonly Meter[]): void {
    this.#meters[0]?.end();
    this.#meters.splice(0, this.#meters.length, own, ...more);
    // It may have ended just before.
    if (this.#outcome !== undefined) own.end();
  }

  /** What passes from now on counts for this one too. */
  countFor(meter: Meter): void {
    this.#meters.push(meter);
  }

  /** The stream ends in this receiver, which is told what came so far. */
  join(receiver: ByteReceiver): void {
    invariant(this.#receiver === undefined, 'a stream ends in one receiver');
    this.#receiver = receiver;
    receiver.attach(new UserSide(this));
    this.#replay(receiver);
    if (this.#hasEarlyFin) receiver.fin();
    if (this.#outcome !== undefined) {
      receiver.reset(this.#outcome.code ?? 'cancelled', this.#outcome.reason);
    } else if (this.#isWritable) {
      receiver.writable();
    }
  }

  /** Takes the stream from its receiver, for another; `left` is what that has taken and not used. */
  part(left: readonly Uint8Array[]): void {
    this.#receiver = undefined;
    for (const piece of left) {
      if (piece.length === 0) continue;
      this.#givenBack += piece.length;
      this.#keep(piece);
    }
  }

  /** Ends it from this side. */
  abort(code: StreamCode, reason: string): void {
    if (this.#outcome !== undefined) return;
    const receiver = this.#receiver;
    this.#stream?.reset(code, reason);
    this.#ended({ code, reason });
    receiver?.reset(code, reason);
  }

  // What the receiver says, by way of its side.

  sent(bytes: number): void {
    for (const meter of this.#meters) meter.sent(bytes, 0);
  }

  /** A message has become bytes. */
  messageSent(): void {
    for (const meter of this.#meters) meter.sent(0);
  }

  /** Bytes have become a message. */
  messageReceived(): void {
    for (const meter of this.#meters) meter.received(0);
  }

  /** Once: a further receiver is told of an end that a former one has taken. */
  finDelivered(): void {
    if (this.#isFinDelivered) return;
    this.#isFinDelivered = true;
    this.#stream!.finDelivered();
  }

  delivered(bytes: number): void {
    const old = Math.min(bytes, this.#givenBack);
    this.#givenBack -= old;
    if (bytes > old) this.#stream!.delivered(bytes - old);
  }

  resetByUser(code: StreamCode, reason: string): void {
    this.#stream!.reset(code, reason);
    this.#ended({ code, reason });
  }

  flushLater(): void {
    if (this.#isReplaying) this.#wantsFlush = true;
    else this.#stream!.flushLater();
  }

  // What the session says.

  get untouched(): boolean {
    return this.#receiver?.untouched ?? true;
  }

  attach(stream: ByteStream): void {
    this.#stream = stream;
    // It was given up before it had a stream.
    if (this.#outcome !== undefined) {
      stream.reset(this.#outcome.code ?? 'cancelled', this.#outcome.reason);
    }
  }

  detach(): void {
    this.#stream = undefined;
    this.#isWritable = false;
  }

  data(bytes: Uint8Array): void {
    for (const meter of this.#meters) meter.received(bytes.length, 0);
    if (this.#receiver === undefined) this.#keep(bytes);
    else this.#receiver.data(bytes);
  }

  absorb(bytes: Uint8Array): number {
    const absorbed = this.#receiver?.absorb?.(bytes) ?? 0;
    if (absorbed > 0) for (const meter of this.#meters) meter.received(absorbed, 0);
    return absorbed;
  }

  flush(): void {
    this.#receiver?.flush();
  }

  fin(): void {
    this.#hasEarlyFin = true;
    this.#receiver?.fin();
  }

  writable(): void {
    this.#isWritable = true;
    this.#receiver?.writable();
  }

  pause(): void {
    this.#isWritable = false;
    this.#receiver?.pause();
  }

  finished(): void {
    this.#receiver?.finished();
    this.#ended({ code: undefined, reason: '' });
  }

  reset(code: StreamCode, reason: string): boolean {
    const receiver = this.#receiver;
    const isDone = receiver?.reset(code, reason) ?? true;
    this.#ended({ code, reason });
    return isDone;
  }

  blocked(): void {
    this.#isWritable = false;
  }

  #keep(bytes: Uint8Array): void {
    this.#early ??= new ByteQueue();
    this.#early.append(bytes);
  }

  #replay(receiver: ByteReceiver): void {
    const early = this.#early;
    this.#early = undefined;
    if (early === undefined) return;
    this.#isReplaying = true;
    for (let piece = early.shift(); piece !== undefined; piece = early.shift()) {
      receiver.data(piece);
    }
    this.#isReplaying = false;
    if (!this.#wantsFlush) return;
    this.#wantsFlush = false;
    receiver.flush();
  }

  #ended(outcome: StreamOutcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#meters[0]?.end();
    this.#onEnd?.(outcome);
  }
}

/** The stream as its receiver sees it. */
class UserSide implements ByteStream {
  readonly #joint: StreamJoint;
  readonly #stream: ByteStream;

  constructor(joint: StreamJoint) {
    this.#joint = joint;
    this.#stream = joint.stream!;
  }

  get id(): number {
    return this.#stream.id;
  }

  get peer(): Identity {
    return this.#stream.peer;
  }

  get protocol(): string {
    return this.#stream.protocol;
  }

  get service(): string {
    return this.#stream.service;
  }

  write(chunk: Uint8Array): boolean {
    this.#joint.sent(chunk.length);
    const goOn = this.#stream.write(chunk);
    if (!goOn) this.#joint.blocked();
    return goOn;
  }

  end(): void {
    this.#stream.end();
  }

  reset(code: StreamCode, reason: string): void {
    this.#joint.resetByUser(code, reason);
  }

  delivered(bytes: number): void {
    this.#joint.delivered(bytes);
  }

  finDelivered(): void {
    this.#joint.finDelivered();
  }

  flushLater(): void {
    this.#joint.flushLater();
  }
}
