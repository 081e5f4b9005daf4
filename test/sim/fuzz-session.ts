import { Budget } from '../../src/session/budget.ts';
import type { SessionOptions } from '../../src/session/options.ts';
import { WINDOW_BYTES_MIN } from '../../src/session/receive-window.ts';
import { Session } from '../../src/session/session.ts';
import { FrameDecoder } from '../../src/wire/decode.ts';
import { FLAG_FIN_DELIVERED } from '../../src/wire/layout.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  helloFrame,
  openFrame,
  sessionOptions,
} from '../support/frames.ts';
import { must } from './failure.ts';
import type { Frames } from './fuzz-frames.ts';
import type { Random } from './random.ts';

const POOL_BYTES = 512 * 1024;
const SESSION_BYTES = 768 * 1024;
const START_MS = 1_000;

/** Bytes a session may send in answer to an input, and besides. */
const ANSWER_FACTOR_MAX = 10;
const ANSWER_BYTES_MAX = 256 * 1024;

/** A session in some phase, and frames that its peer may send next. */
interface Prepared {
  readonly session: Session;
  readonly options: SessionOptions;
}

export interface Phase {
  readonly name: string;
  readonly next: Frames;
  readonly prepare: () => Prepared;
}

function makeOptions(role: 'dialler' | 'acceptor'): SessionOptions {
  return sessionOptions(role, {
    streamWindow: 64 * 1024,
    sessionBuffer: SESSION_BYTES,
    streams: 8,
    pools: { send: new Budget(POOL_BYTES), receive: new Budget(POOL_BYTES) },
  });
}

const HELLOS = {
  dialler: helloFrame(makeOptions('dialler')),
  acceptor: helloFrame(makeOptions('acceptor')),
};

function fresh(role: 'dialler' | 'acceptor'): Prepared {
  const options = makeOptions(role);
  return { options, session: new Session(options, START_MS, 1e12) };
}

function established(role: 'dialler' | 'acceptor'): Prepared {
  const prepared = fresh(role);
  const { session } = prepared;
  session.handleBytes(START_MS, HELLOS[role === 'dialler' ? 'acceptor' : 'dialler']);
  session.admit(START_MS);
  drain(session);
  return prepared;
}

/** A dialler with streams in every state: 1 opening, 3 open with bytes under way, 5 ended here. */
function withStreams(): Prepared {
  const prepared = established('dialler');
  const { session } = prepared;
  for (let i = 0; i < 3; i++) {
    session.open(START_MS, { protocol: 'tcp', versions: [1], capabilities: [], service: 's' });
  }
  for (const bytes of STREAM_SETUP) session.handleBytes(START_MS, bytes);
  session.write(START_MS, 3, new Uint8Array(20_000));
  session.write(START_MS, 5, new Uint8Array(1_000));
  session.end(5);
  session.accept(4);
  session.accept(6);
  session.delivered(START_MS, 4, 100);
  drain(session);
  return prepared;
}

/** 2 incoming with early data, 4 open with data, 6 ended by the peer. */
const STREAM_SETUP: Frames = [
  acceptFrame(3, 64_000),
  acceptFrame(5, 64_000),
  openFrame(2, 10_000, 's'),
  dataFrame(2, 0, new Uint8Array(50)),
  openFrame(4, 10_000, 's'),
  dataFrame(4, 0, new Uint8Array(500)),
  openFrame(6, 10_000, 's'),
  frame((writer) => writer.fin(6, 0)),
];

const STREAM_FRAMES: Frames = [
  acceptFrame(1, 30_000),
  frame((writer) => writer.credit(3, 90_000, 20_000, 0)),
  frame((writer) => writer.credit(5, 64_000, 1_000, FLAG_FIN_DELIVERED)),
  dataFrame(2, 50, new Uint8Array(30)),
  dataFrame(4, 500, new Uint8Array(700)),
  frame((writer) => writer.fin(4, 1_200)),
  frame((writer) => writer.reset(2, 80, 'cancelled', 'gone')),
  openFrame(8, 5_000, 's'),
  frame((writer) => writer.pong(1, 1e15, 1e15, 1e15)),
  frame((writer) => writer.credit(4, 20_000, 0, 0)),
  frame((writer) => writer.goaway()),
  // One byte more than the credit of a stream that is not accepted.
  dataFrame(8, 0, new Uint8Array(WINDOW_BYTES_MIN + 1)),
];

const SESSION_FRAMES: Frames = [
  frame((writer) => writer.ping(1, 1e15)),
  frame((writer) => writer.json(0x05, 0, 0, ['postgres'])),
  frame((writer) => writer.pong(1, 1e15, 1e15, 1e15)),
];

export const PHASES: readonly Phase[] = [
  {
    name: 'dialler-hello',
    next: [HELLOS.acceptor, ...SESSION_FRAMES],
    prepare: () => fresh('dialler'),
  },
  { name: 'acceptor-hello', next: [HELLOS.dialler], prepare: () => fresh('acceptor') },
  {
    name: 'acceptor-admitting',
    next: SESSION_FRAMES,
    prepare: () => {
      const prepared = fresh('acceptor');
      prepared.session.handleBytes(START_MS, HELLOS.dialler);
      return prepared;
    },
  },
  {
    name: 'acceptor-established',
    next: [openFrame(1, 5_000, 's'), dataFrame(1, 0, new Uint8Array(99)), ...SESSION_FRAMES],
    prepare: () => established('acceptor'),
  },
  { name: 'streams', next: STREAM_FRAMES, prepare: withStreams },
  {
    name: 'draining',
    next: STREAM_FRAMES,
    prepare: () => {
      const prepared = withStreams();
      prepared.session.drain();
      return prepared;
    },
  },
  {
    name: 'closed',
    next: SESSION_FRAMES,
    prepare: () => {
      const prepared = established('dialler');
      prepared.session.close(START_MS, 'shutdown', 'enough');
      return prepared;
    },
  },
];

/**
 * Gives the input to a session in the phase and lets it live on for a while. Returns how it ended:
 * the protocol error's or the lane's code, or `open`. Throws a SimFailure when a promise is broken,
 * and whatever the session throws.
 */
export function fuzzSession(
  random: Random,
  phase: Phase,
  input: Uint8Array,
  illFormed: boolean,
): string {
  const { session, options } = phase.prepare();
  const cut = random.int(0, input.length);
  const life = new Life(random, session, options);
  for (const part of [input.subarray(0, cut), input.subarray(cut)]) {
    session.handleBytes(START_MS + 1, part);
    life.react();
  }
  must(!illFormed || session.closed, () => `${phase.name}: lives on after a frame that is not one`);
  const answerBytesMax = ANSWER_FACTOR_MAX * input.length + ANSWER_BYTES_MAX;
  must(life.sentBytes <= answerBytesMax, () => `${phase.name}: answers ${life.sentBytes} bytes`);
  const outcome = life.outcome ?? 'open';
  life.end();
  return outcome;
}

/** What a driver and its streams would do with a session. */
class Life {
  outcome: string | undefined;
  sentBytes = 0;
  readonly #random: Random;
  readonly #session: Session;
  readonly #options: SessionOptions;
  readonly #decoder = new FrameDecoder({ onFrame: () => {}, onData: () => {} });
  /** Streams whose FIN was not passed on yet. */
  readonly #fins = new Set<number>();
  readonly #undelivered = new Map<number, number>();

  constructor(random: Random, session: Session, options: SessionOptions) {
    this.#random = random;
    this.#session = session;
    this.#options = options;
  }

  react(): void {
    for (let event = this.#session.pollEvent(); event; event = this.#session.pollEvent()) {
      must(this.outcome === undefined, () => `${event?.kind} after the end`);
      if (event.kind === 'hello') this.#session.admit(START_MS + 1);
      if (event.kind === 'opened') this.#answer(event.stream);
      if (event.kind === 'data') this.#deliver(event.stream, event.bytes.length);
      if (event.kind === 'fin') this.#fins.add(event.stream);
      if (event.kind === 'closed') this.outcome = outcomeOf(event.code, event.reason);
    }
    for (const stream of this.#fins) {
      if ((this.#undelivered.get(stream) ?? 0) === 0) this.#session.finDelivered(stream);
    }
    this.#transmit();
    this.#checkBudgets();
  }

  /** Time passes, then the lane goes; nothing may be left. */
  end(): void {
    for (let i = 0; i < 3; i++) {
      const atMs = this.#session.pollTimeout();
      if (atMs === undefined) break;
      this.#session.handleTimeout(atMs);
      this.react();
    }
    if (!this.#session.closed) this.#session.handleLaneClosed(START_MS + 2, 'the end');
    this.react();
    must(this.outcome !== undefined, () => 'no event tells of the end');
    must(
      this.#session.closed && this.#session.pollTimeout() === undefined,
      () => 'a timer is left',
    );
    const { send, receive } = this.#options.pools;
    must(
      send.used === 0 && receive.used === 0,
      () => `${send.used}+${receive.used} bytes are left`,
    );
    must(this.#session.bufferedBytes === 0, () => `${this.#session.bufferedBytes} bytes buffered`);
    must(this.#session.streamCount === 0, () => `${this.#session.streamCount} streams are left`);
  }

  #answer(stream: number): void {
    if (this.#random.chance(0.6)) this.#session.accept(stream);
    else if (this.#random.chance(0.5)) this.#session.reset(stream, 'target-refused', 'no');
    this.#session.write(START_MS + 1, stream, new Uint8Array(this.#random.int(0, 3_000)));
  }

  #deliver(stream: number, bytes: number): void {
    const undelivered = (this.#undelivered.get(stream) ?? 0) + bytes;
    const delivered = this.#random.chance(0.7) ? undelivered : 0;
    this.#undelivered.set(stream, undelivered - delivered);
    this.#session.delivered(START_MS + 1, stream, delivered);
  }

  #transmit(): void {
    for (let i = 0; i < 1000; i++) {
      const buffers = this.#session.pollTransmit(64 * 1024);
      if (buffers === undefined) return;
      for (const buffer of buffers) {
        this.#decoder.push(buffer);
        this.sentBytes += buffer.length;
      }
    }
    must(false, () => 'never stops sending');
  }

  #checkBudgets(): void {
    const { receive, send } = this.#options.pools;
    must(receive.used <= receive.limit, () => `receive budget ${receive.used} of ${receive.limit}`);
    must(send.used >= 0 && receive.used >= 0, () => 'a budget below zero');
    const buffered = this.#session.bufferedBytes;
    must(buffered <= SESSION_BYTES, () => `${buffered} bytes buffered`);
  }
}

function drain(session: Session): void {
  while (session.pollTransmit(Number.MAX_SAFE_INTEGER) !== undefined);
  while (session.pollEvent() !== undefined);
}

/** A reason of a protocol error begins with its code. */
function outcomeOf(code: string, reason: string): string {
  return code === 'protocol-error' ? (/^([a-z]+-[a-z]+): /.exec(reason)?.[1] ?? code) : code;
}
