import { PendingHandshake } from '../../../packages/proto/src/session/lanes/pending-handshake.ts';
import type { SessionOptions } from '../../../packages/proto/src/session/options.ts';
import type { Session } from '../../../packages/proto/src/session/session.ts';
import { FrameDecoder } from '../../../packages/proto/src/wire/frame-decoder.ts';
import { must } from '../failure.ts';
import {
  established,
  makeOptions,
  type Phase,
  POOL_BYTES,
  type Prepared,
  prove,
  SESSION_BYTES,
  START_MS,
} from './phases.ts';
import type { Random } from '../random.ts';

/** Bytes a session may send in answer to an input, and besides. */
const ANSWER_FACTOR_MAX = 10;
const ANSWER_BYTES_MAX = 256 * 1024;

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
  const prepared = phase.prepare();
  const { session, lane } = prepared;
  const begun = session.closed || session.established;
  const life = new Life(random, prepared);
  for (const part of parts(random, input)) {
    session.handleBytes(START_MS + 1, lane, part);
    life.react();
  }
  if (illFormed) must(life.isOver(lane), () => `${phase.name}: lives on after no frame`);
  if (phase.ends === 'lane' && !life.wasUp) {
    const ended = session.closed && life.outcome !== 'unknown-session';
    must(!(begun && ended), () => `${phase.name}: a lane that did not join ended the session`);
  }
  const answerBytesMax = ANSWER_FACTOR_MAX * input.length + ANSWER_BYTES_MAX;
  must(life.sentBytes <= answerBytesMax, () => `${phase.name}: answers ${life.sentBytes} bytes`);
  const outcome = life.outcome ?? 'open';
  life.end();
  return outcome;
}

/**
 * Gives the input to an accepted lane of a node that holds a session, and lets the lane join when
 * it may. Returns the code of what was wrong, or `joined`, or `waiting`.
 */
export function fuzzGreeting(random: Random, input: Uint8Array, illFormed: boolean): string {
  const prepared = established('acceptor');
  const { session } = prepared;
  const greeting = new PendingHandshake(makeOptions('acceptor'), START_MS, 1e12);
  for (const part of parts(random, input)) {
    greeting.handleBytes(START_MS + 1, part);
    if (random.chance(0.5)) greeting.handleTimeout(START_MS + 1);
    const answer = greeting.pollTransmit() ?? [];
    const bytes = answer.reduce((sum, piece) => sum + piece.length, 0);
    must(bytes <= ANSWER_BYTES_MAX, () => `a greeting answers ${bytes} bytes`);
  }
  const { hello, closed, early } = greeting;
  must(!illFormed || closed !== undefined, () => 'a greeting lives on after no frame');
  must(hello === undefined || closed === undefined, () => 'HELLO of a lane that is refused');
  const life = new Life(random, prepared);
  let outcome = 'waiting';
  if (closed !== undefined) outcome = outcomeOf(closed.code, closed.reason);
  else if (hello !== undefined) {
    const refusal = session.judge(hello, prove);
    outcome = refusal?.code ?? (early ? 'early' : 'joined');
    if (outcome === 'joined') session.admit(START_MS + 1, hello, prove);
  }
  life.react();
  must(!session.closed, () => 'an accepted lane ended the session');
  life.end();
  return outcome;
}

function parts(random: Random, input: Uint8Array): Uint8Array[] {
  const cut = random.int(0, input.length);
  return [input.subarray(0, cut), input.subarray(cut)];
}

/** What a driver and its streams would do with a session. */
class Life {
  outcome: string | undefined;
  sentBytes = 0;
  /** The lane of the input carried the session. */
  wasUp = false;
  readonly #random: Random;
  readonly #session: Session;
  readonly #options: SessionOptions;
  /** Frames of each lane; each must be whole and one that may be sent. */
  readonly #decoders = new Map<number, FrameDecoder>();
  readonly #lanesClosed = new Set<number>();
  /** Streams whose FIN was not passed on yet. */
  readonly #fins = new Set<number>();
  readonly #undelivered = new Map<number, number>();
  readonly #lane: number;

  constructor(random: Random, { session, options, lane }: Prepared) {
    this.#random = random;
    this.#session = session;
    this.#options = options;
    this.#lane = lane;
  }

  /** The lane, or the session with it, has ended. */
  isOver(lane: number): boolean {
    return this.#session.closed || this.#lanesClosed.has(lane);
  }

  react(): void {
    for (let event = this.#session.pollEvent(); event; event = this.#session.pollEvent()) {
      must(this.outcome === undefined, () => `${event?.kind} after the end`);
      if (event.kind === 'opened') this.#answer(event.stream);
      if (event.kind === 'data') this.#deliver(event.stream, event.bytes.length);
      if (event.kind === 'fin') this.#fins.add(event.stream);
      if (event.kind === 'lane-up' && event.lane === this.#lane) this.wasUp = true;
      if (event.kind === 'lane-closed') this.#laneClosed(event.lane, event.last);
      if (event.kind !== 'closed') continue;
      must(event.remote || event.code !== 'internal', () => event.reason);
      this.outcome = outcomeOf(event.code, event.reason);
    }
    for (const stream of this.#fins) {
      if ((this.#undelivered.get(stream) ?? 0) === 0) this.#session.finDelivered(stream);
    }
    for (const { lane } of this.#session.lanes()) this.#transmit(lane);
    this.#checkBudgets();
  }

  /** Time passes, then the lanes go, and nobody comes back; nothing may be left. */
  end(): void {
    for (let i = 0; i < 3; i++) this.#timeout();
    for (const { lane } of this.#session.lanes()) {
      this.#session.handleLaneClosed(START_MS + 2, lane, 'the end');
    }
    this.react();
    for (let i = 0; i < 10 && !this.#session.closed; i++) this.#timeout();
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
    must(this.#session.lanes().length === 0, () => 'lanes are left');
  }

  #timeout(): void {
    const atMs = this.#session.pollTimeout();
    if (atMs === undefined) return;
    this.#session.handleTimeout(atMs);
    this.react();
  }

  #laneClosed(lane: number, last: readonly Uint8Array[]): void {
    must(!this.#lanesClosed.has(lane), () => `lane ${lane} closed twice`);
    this.#read(lane, last);
    this.#lanesClosed.add(lane);
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

  #transmit(lane: number): void {
    for (let i = 0; i < 1000; i++) {
      const buffers = this.#session.pollTransmit(lane, 64 * 1024);
      if (buffers === undefined) return;
      this.#read(lane, buffers);
    }
    must(false, () => 'never stops sending');
  }

  #read(lane: number, buffers: readonly Uint8Array[]): void {
    let decoder = this.#decoders.get(lane);
    if (decoder === undefined) {
      decoder = new FrameDecoder({ onFrame: () => {}, onData: () => {} });
      this.#decoders.set(lane, decoder);
    }
    for (const buffer of buffers) {
      decoder.push(buffer);
      this.sentBytes += buffer.length;
    }
    must(decoder.idle, () => `a part of a frame on lane ${lane}`);
  }

  #checkBudgets(): void {
    const { receive, send } = this.#options.pools;
    must(receive.used <= POOL_BYTES, () => `receive budget ${receive.used} of ${POOL_BYTES}`);
    must(send.used >= 0 && receive.used >= 0, () => 'a budget below zero');
    const { bufferedBytes } = this.#session;
    must(
      bufferedBytes >= 0 && bufferedBytes <= SESSION_BYTES,
      () => `${bufferedBytes} bytes buffered`,
    );
    const { replayBytes, reassemblyBytes } = this.#session.memory();
    must(
      replayBytes + reassemblyBytes <= bufferedBytes && reassemblyBytes >= 0,
      () => `holds ${replayBytes}+${reassemblyBytes} of ${bufferedBytes} bytes`,
    );
  }
}

/** A reason of a protocol error begins with its code; one that a later version may mean, too. */
function outcomeOf(code: string, reason: string): string {
  return code === 'protocol-error' || code === 'version-mismatch'
    ? (/^([a-z]+(?:-[a-z]+)?): /.exec(reason)?.[1] ?? code)
    : code;
}
