import {
  FrameDecoder,
  type FrameHeader,
  type FrameSink,
} from '../../../packages/proto/src/wire/frame-decoder.ts';
import { FRAME_RULES } from '../../../packages/proto/src/wire/layout.ts';
import { ProtocolError } from '../../../packages/proto/src/wire/protocol-error.ts';
import { must, SimFailure } from '../failure.ts';
import { drawFrames, type Frames } from './frames.ts';
import { Mutator } from './mutate.ts';
import { GREETINGS, PHASES, type Phase } from './phases.ts';
import { fuzzGreeting, fuzzSession } from './session.ts';
import { Random } from '../random.ts';

/** Inputs that are drawn from the same valid sequences, and how many of those there are. */
const BLOCK_INPUTS = 4096;
const BLOCK_SEQUENCES = 128;

/** Every so manieth input goes to a whole session too. */
const SESSION_EVERY = 16;

const TARGETS: readonly (Phase | 'greeting')[] = ['greeting', ...PHASES];

const PAYLOAD_BYTES_MAX = Math.max(
  ...[...FRAME_RULES.values()].map((rule) => rule.payloadBytesMax),
);

export interface FuzzResult {
  readonly inputs: number;
  readonly sessions: number;
  readonly bytes: number;
  /** `decoder CODE`, `session CODE` and `greeting CODE` to how often. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Most memory a decoder held for an incomplete frame. */
  readonly heldBytesMax: number;
}

/** Holds the decoder to what it promises of payloads. */
class CheckingSink implements FrameSink {
  payloadBytes = 0;
  #input: Uint8Array = new Uint8Array(0);

  begin(input: Uint8Array): void {
    this.#input = input;
    this.payloadBytes = 0;
  }

  onFrame(header: FrameHeader, payload: Uint8Array): void {
    const limit = FRAME_RULES.get(header.type)!.payloadBytesMax;
    const gathered = payload.buffer !== this.#input.buffer;
    if (payload.length !== header.length) fail('a payload of another length than declared');
    if (payload.length > limit) fail('a payload beyond its limit');
    if (gathered && payload.buffer.byteLength !== header.length) fail('more memory than declared');
    this.payloadBytes += payload.length;
  }

  onData(_stream: number, _offset: number, bytes: Uint8Array): void {
    if (bytes.buffer !== this.#input.buffer) fail('DATA was copied');
    this.payloadBytes += bytes.length;
  }
}

function fail(what: string): never {
  throw new SimFailure(what);
}

/** Something broke on this input. */
export class FuzzFailure extends Error {
  readonly input: Uint8Array;
  readonly index: number;

  constructor(index: number, where: string, input: Uint8Array, cause: unknown) {
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    super(`input ${index}, ${where}: ${text}`);
    this.name = 'FuzzFailure';
    this.input = input;
    this.index = index;
  }
}

/** Feeds mutated frame sequences to decoders and sessions. Input `index` depends on it and the seed only. */
export class Fuzzer {
  readonly #seed: number;
  readonly #mutator = new Mutator();
  readonly #sink = new CheckingSink();
  readonly #outcomes = new Map<string, number>();
  #block = -1;
  #sequences: readonly Frames[] = [];
  #sessions = 0;
  #bytes = 0;
  #inputs = 0;
  #heldBytesMax = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get result(): FuzzResult {
    return {
      inputs: this.#inputs,
      sessions: this.#sessions,
      bytes: this.#bytes,
      outcomes: this.#outcomes,
      heldBytesMax: this.#heldBytesMax,
    };
  }

  /** Throws a {@link FuzzFailure}. */
  run(index: number): void {
    const random = new Random(this.#seed, index);
    const forSession = index % SESSION_EVERY === 0;
    const target = forSession ? random.pick(TARGETS) : undefined;
    this.#prepareBlock(Math.floor(index / BLOCK_INPUTS));
    const phase = target === 'greeting' ? undefined : target;
    const known = target === 'greeting' ? random.pick(GREETINGS) : phase?.next;
    const valid = known ?? random.pick(this.#sequences);
    const input = this.#mutator.mutate(random, valid, random.pick(this.#sequences));
    this.#inputs++;
    this.#bytes += input.length;
    let where = 'decoder';
    try {
      const outcome = this.#decode(random, input);
      this.#count(`decoder ${outcome}`);
      if (target === undefined) return;
      where = phase === undefined ? 'greeting' : `session ${phase.name}`;
      this.#sessions++;
      const illFormed = outcome !== 'whole' && outcome !== 'incomplete';
      this.#count(
        phase === undefined
          ? `greeting ${fuzzGreeting(random, input, illFormed)}`
          : `session ${fuzzSession(random, phase, input, illFormed)}`,
      );
    } catch (error) {
      throw new FuzzFailure(index, where, input.slice(), error);
    }
  }

  #prepareBlock(block: number): void {
    if (block === this.#block) return;
    this.#block = block;
    const random = new Random(this.#seed + 1, block);
    this.#sequences = Array.from({ length: BLOCK_SEQUENCES }, () => drawFrames(random));
  }

  /** The protocol error's code, or `whole` or `incomplete`. Anything else that is thrown is a failure. */
  #decode(random: Random, input: Uint8Array): string {
    const sink = this.#sink;
    sink.begin(input);
    const decoder = new FrameDecoder(sink);
    try {
      let at = 0;
      while (at < input.length) {
        const end = random.chance(0.6) ? input.length : at + random.skewed(1, input.length - at);
        decoder.push(input.subarray(at, end));
        at = end;
        const held = decoder.heldBytes;
        if (held > this.#heldBytesMax) this.#heldBytesMax = held;
        must(held <= PAYLOAD_BYTES_MAX, () => `holds ${held} bytes`);
      }
    } catch (error) {
      if (error instanceof ProtocolError) return error.code;
      throw error;
    }
    must(sink.payloadBytes <= input.length, () => 'more payload than bytes');
    return decoder.idle ? 'whole' : 'incomplete';
  }

  #count(outcome: string): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }
}
