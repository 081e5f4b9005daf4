import type { LaneCode } from '../../wire/codes.ts';
import { FrameDecoder, type FrameHeader } from '../../wire/frame-decoder.ts';
import { FrameWriter } from '../../wire/frame-writer.ts';
import { FrameType, frameName } from '../../wire/layout.ts';
import { type Hello, parseClose } from '../../wire/payload.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import type { HandshakeOptions } from '../options.ts';
import { judgeHello, makeHello, type Refusal, readHello } from './handshake.ts';

/** Why a lane ended before it joined a session. */
interface Ending {
  readonly code: LaneCode;
  readonly reason: string;
  readonly remote: boolean;
}

/**
 * An accepted lane until it is known whose session it joins: reads the dialler's HELLO and nothing
 * else. Whoever owns it then refuses, or hands the HELLO to a session and the lane's bytes with it.
 */
export class PendingHandshake {
  /** When {@link handleTimeout} wants to be called. */
  readonly deadlineMs: number;
  readonly #options: HandshakeOptions;
  readonly #wallOffsetMs: number;
  readonly #writer = new FrameWriter();
  readonly #decoder: FrameDecoder;
  #hello: Hello | undefined;
  #early = false;
  #closed: Ending | undefined;

  constructor(options: HandshakeOptions, nowMs: number, wallOffsetMs: number) {
    this.#options = options;
    this.#wallOffsetMs = wallOffsetMs;
    this.deadlineMs = nowMs + options.handshakeTimeoutMs;
    this.#decoder = new FrameDecoder({
      onFrame: (header, payload) => this.#handleFrame(header, payload),
      onData: () => this.#tooEarly(FrameType.DATA),
    });
  }

  /** The dialler's, once it has come and was judged good. */
  get hello(): Hello | undefined {
    return this.#hello;
  }

  /** The dialler did not wait for the answer to its HELLO, which breaks the protocol. */
  get early(): boolean {
    return this.#early || (this.#hello !== undefined && !this.#decoder.idle);
  }

  /** Why the lane has to end, once {@link pollTransmit} was sent. */
  get closed(): Ending | undefined {
    return this.#closed;
  }

  handleBytes(nowMs: number, chunk: Uint8Array): void {
    if (this.#closed !== undefined) return;
    try {
      this.#decoder.push(chunk);
      if (this.#hello !== undefined) this.#judge(nowMs, this.#hello);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.refuse(nowMs, error.laneCode, `${error.code}: ${error.message}`);
    }
  }

  handleTimeout(nowMs: number): void {
    if (this.#closed === undefined && nowMs >= this.deadlineMs) {
      this.refuse(nowMs, 'handshake-timeout', 'no HELLO from the peer in time');
    }
  }

  refuse(_nowMs: number, code: LaneCode, reason: string): void {
    if (this.#closed === undefined) this.#end({ code, reason });
  }

  pollTransmit(): Uint8Array[] | undefined {
    const out: Uint8Array[] = [];
    this.#writer.drainTo(out);
    return out.length > 0 ? out : undefined;
  }

  #handleFrame(header: FrameHeader, payload: Uint8Array): void {
    if (this.#closed !== undefined) return;
    if (header.type === FrameType.CLOSE) {
      const { code, reason } = parseClose(payload);
      this.#hello = undefined;
      this.#closed = { code, reason, remote: true };
    } else if (this.#hello === undefined && header.type === FrameType.HELLO) {
      const read = readHello(payload);
      if ('code' in read) this.#end(read);
      else this.#hello = read;
    } else {
      this.#tooEarly(header.type);
    }
  }

  #end({ code, reason }: Refusal): void {
    this.#writer.close(code, reason);
    this.#hello = undefined;
    this.#closed = { code, reason, remote: false };
  }

  #tooEarly(type: number): void {
    if (this.#hello === undefined && this.#closed === undefined) {
      throw new ProtocolError('frame-order', `${frameName(type)} before HELLO`);
    }
    this.#early = true;
  }

  #judge(nowMs: number, hello: Hello): void {
    const refusal = judgeHello(this.#options, hello);
    if (refusal === undefined) return;
    // The peer gets this side's HELLO too, where it can name both values from its own point of view.
    if (refusal.code !== 'identity-mismatch') this.#sayHello(nowMs, hello.session);
    this.refuse(nowMs, refusal.code, refusal.reason);
  }

  #sayHello(nowMs: number, { id, epoch }: Hello['session']): void {
    const clockUs = Math.max(0, Math.round((nowMs + this.#wallOffsetMs) * 1000));
    this.#writer.json(FrameType.HELLO, 0, 0, makeHello(this.#options, { id, epoch }, clockUs));
  }
}
