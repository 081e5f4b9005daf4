import { invariant, RoutyError, visibleText } from '@routy/proto/base';
import { ByteQueue } from '@routy/proto/session';
import { STREAM_CODES, type StreamCode } from '@routy/proto/wire';
import { invalidArgument } from '../../transport/link-error.ts';
import type { ByteReceiver, ByteStream } from '../byte-stream.ts';

/** A stream was reset: by the peer, by this side, or because its session was lost. */
export class StreamResetError extends RoutyError {
  /** Stable, for programs: as docs/PROTOCOL.md lists them for streams. */
  declare readonly code: StreamCode;

  /** `hint`: what to do about it. */
  constructor(code: StreamCode, reason: string, hint?: string) {
    super(code, reason, hint === undefined ? {} : { hint });
    this.name = 'StreamResetError';
  }
}

/** What to do about a reset that was not of this side, where that is known. */
const RESET_HINTS: Partial<Record<StreamCode, string>> = {
  internal: 'what takes the stream at the other end has failed: acceptFailed of its link says how',
  'session-lost': 'open another when there is a session again, as link.converse does by itself',
};

/** The code that a stream is reset with because of an error: the error's own where it has one. */
export function resetCodeOf(error: unknown): StreamCode {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && Object.hasOwn(STREAM_CODES, code)
    ? (code as StreamCode)
    : 'cancelled';
}

/** What a peer has said in a message of its own, `{ refused, reason }`: it may have said anything. */
export function refusalSaid(said: unknown): StreamResetError {
  const { refused, reason } = (said ?? {}) as Readonly<Record<string, unknown>>;
  const isKnown = typeof refused === 'string' && Object.hasOwn(STREAM_CODES, refused);
  const text = typeof reason === 'string' ? visibleText(reason.slice(0, REASON_CHARS_MAX)) : '';
  return new StreamResetError(isKnown ? (refused as StreamCode) : 'internal', text);
}

/** @throws LinkError `argument-invalid` when no reset could say so */
export function expectReset(code: unknown, reason: unknown): void {
  if (typeof code !== 'string' || !Object.hasOwn(STREAM_CODES, code))
    throw invalidArgument('code', `one of ${Object.keys(STREAM_CODES).join(', ')}`, code);
  if (typeof reason !== 'string') throw invalidArgument('reason', 'text', reason);
}

/** Of a reason that a peer has said: as many as RESET could carry. */
const REASON_CHARS_MAX = 1022;

/** Whoever makes something else of a {@link ByteChannel}. */
export interface ChannelUser {
  /** Bytes can be taken, or the end. */
  onReadable(): void;
  /** Bytes can be sent. */
  onWritable(): void;
  /** It was reset at the other end or below. Bytes that can still be taken came before that. */
  onReset(error: StreamResetError): void;
  /** Both directions have ended, and the peer has all. */
  onFinished(): void;
  /** As {@link ByteReceiver.absorb}, while nothing waits to be taken. */
  onAbsorb?(bytes: Uint8Array): number;
}

/**
 * A receiver to pull from: bytes wait in it until they are taken, and only then the peer may send
 * more. What the adapters have in common.
 */
export class ByteChannel implements ByteReceiver {
  readonly #user: ChannelUser;
  #stream: ByteStream | undefined;
  #waiting = new ByteQueue();
  /** Taken by `onAbsorb` and not {@link settle}d yet. */
  #absorbed = 0;
  #isFlushDue = false;
  #finCame = false;
  #endTaken = false;
  #endWanted = false;
  #endSent = false;
  /** It may be written to, or could be once: an end may follow. */
  #isOpen = false;
  #isBlocked = true;
  #isTouched = false;
  #over = false;
  #error: StreamResetError | undefined;

  constructor(user: ChannelUser) {
    this.#user = user;
  }

  /** Why it was reset, by whomever. */
  get error(): StreamResetError | undefined {
    return this.#error;
  }

  /** Bytes can be sent: there is credit, and this side has not ended. */
  get canSend(): boolean {
    return !this.#isBlocked && !this.#over && !this.#endSent;
  }

  /** All bytes were taken, and no more come. */
  get atEnd(): boolean {
    return this.#finCame && this.#waiting.bytes === 0;
  }

  /** Both directions have ended here; the peer may not have all yet. */
  get hasEnded(): boolean {
    return this.#endSent && this.#endTaken;
  }

  /** Bytes wait to be taken. */
  get hasBytes(): boolean {
    return this.#waiting.bytes > 0;
  }

  /** Bytes were absorbed that are not settled. */
  get hasAbsorbed(): boolean {
    return this.#absorbed > 0;
  }

  /** All absorbed bytes but the last so many count as delivered. */
  settle(kept: number): void {
    const bytes = this.#absorbed - kept;
    if (bytes <= 0) return;
    this.#absorbed = kept;
    if (this.#over) return;
    this.#stream!.delivered(bytes);
    this.#takeEnd();
  }

  /** The next bytes, which count as delivered now, and with the last of them the end that has come. */
  take(): Uint8Array | undefined {
    const piece = this.#shift();
    if (piece !== undefined) this.#takeEnd();
    return piece;
  }

  /** Only when it {@link canSend}; the bytes are not to be changed any more. */
  send(chunk: Uint8Array): void {
    invariant(this.canSend, 'bytes are sent when the stream takes them');
    if (chunk.length === 0) return;
    this.#isTouched = true;
    if (!this.#stream!.write(chunk)) this.#isBlocked = true;
  }

  /** Half-closes. */
  end(): void {
    if (this.#endSent || this.#over) return;
    this.#endWanted = true;
    if (!this.#isOpen) return;
    this.#isTouched = true;
    this.#endSent = true;
    this.#stream!.end();
  }

  /** Resets it from this side; nothing happens when both directions have ended and the peer has all. */
  abort(code: StreamCode, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#isTouched = true;
    this.#error = new StreamResetError(code, reason);
    this.#waiting = new ByteQueue();
    this.#stream?.reset(code, reason);
  }

  /** Lets go of the stream, without an end; what waits counts as delivered and is given. */
  release(): Uint8Array[] {
    const left: Uint8Array[] = [];
    for (let piece = this.#shift(); piece !== undefined; piece = this.#shift()) left.push(piece);
    this.#over = true;
    return left;
  }

  get untouched(): boolean {
    return !this.#isTouched;
  }

  attach(stream: ByteStream): void {
    this.#stream = stream;
    // It was given up before it had a stream.
    if (this.#error !== undefined) stream.reset(this.#error.code, this.#error.message);
  }

  detach(): void {
    this.#stream = undefined;
    this.#isOpen = false;
    this.#isBlocked = true;
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#waiting.append(bytes);
    this.#flushLater();
  }

  absorb(bytes: Uint8Array): number {
    if (this.#over || this.hasBytes) return 0;
    const absorbed = this.#user.onAbsorb?.(bytes) ?? 0;
    this.#absorbed += absorbed;
    if (absorbed > 0) this.#flushLater();
    return absorbed;
  }

  flush(): void {
    this.#isFlushDue = false;
    if (this.hasBytes || this.hasAbsorbed) this.#user.onReadable();
  }

  fin(): void {
    if (this.#over) return;
    this.#finCame = true;
    this.#takeEnd();
    this.#user.onReadable();
  }

  writable(): void {
    if (this.#over) return;
    this.#isOpen = true;
    this.#isBlocked = false;
    if (this.#endWanted) this.end();
    else this.#user.onWritable();
  }

  pause(): void {
    this.#isBlocked = true;
  }

  finished(): void {
    if (this.#over) return;
    this.#over = true;
    this.#user.onFinished();
  }

  /** What came before the other end was reset stays to be taken; it is no longer the session's. */
  reset(code: StreamCode, reason: string): boolean {
    if (this.#over) return true;
    this.#over = true;
    this.#error = new StreamResetError(code, reason, RESET_HINTS[code]);
    if (code !== 'connection-reset') this.#waiting = new ByteQueue();
    this.#user.onReset(this.#error);
    return true;
  }

  #flushLater(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#stream!.flushLater();
  }

  #shift(): Uint8Array | undefined {
    const piece = this.#waiting.shift();
    if (piece !== undefined && !this.#over) this.#stream!.delivered(piece.length);
    return piece;
  }

  /**
   * The end counts as delivered behind the last byte, asked for or not: who has read all it wants does
   * not keep the stream by not reading on.
   */
  #takeEnd(): void {
    if (!this.atEnd || this.hasAbsorbed || this.#endTaken) return;
    this.#endTaken = true;
    if (!this.#over) this.#stream!.finDelivered();
  }
}
