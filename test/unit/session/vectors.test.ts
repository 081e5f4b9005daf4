import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Prove } from '../../../packages/proto/src/session/lanes/handshake.ts';
import { PendingHandshake } from '../../../packages/proto/src/session/lanes/pending-handshake.ts';
import { Session } from '../../../packages/proto/src/session/session.ts';
import type { LaneCode, StreamCode } from '../../../packages/proto/src/wire/codes.ts';
import { FrameType, frameName } from '../../../packages/proto/src/wire/layout.ts';
import { type OpenPayload, parseHello } from '../../../packages/proto/src/wire/payload.ts';
import {
  concat,
  type ReadFrame,
  readFrames,
  resumeRecords,
  sessionOptions,
} from '../../support/session/frames.ts';
import type { Role } from '../../support/session/session-rig.ts';

type Call =
  | readonly ['dial' | 'drain']
  | readonly ['admit' | 'laneLost', number]
  | readonly ['open', OpenPayload]
  | readonly ['accept' | 'end' | 'finDelivered', number]
  | readonly ['write', number, string]
  | readonly ['delivered', number, number]
  | readonly ['offer', string[]]
  | readonly ['reset', number, StreamCode, string]
  | readonly ['close', LaneCode, string];

type Step =
  | { readonly at: Role; readonly call: Call }
  | {
      readonly from: Role;
      readonly lane: number;
      readonly means: readonly string[];
      readonly hex: string;
      /** It is lost with its lane. */
      readonly lost?: true;
    };

interface Vectors {
  readonly dialler: { readonly instance: string };
  readonly acceptor: { readonly instance: string };
  readonly session: { readonly id: string; readonly secret: string };
  /** By lane, in hex. */
  readonly exporters: Readonly<Record<string, string>>;
  readonly exchanges: readonly { readonly name: string; readonly steps: readonly Step[] }[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/exchange.json', import.meta.url), 'utf8'),
) as Vectors;

/** As the vectors say, apart from any implementation: RFC 2104, RFC 8446 section 7.5. */
const prove: Prove = (secret, epoch, by) =>
  createHmac('sha256', secret)
    .update(`routy-lane ${by}|${vectors.session.id}|${epoch}|`)
    .update(Buffer.from(vectors.exporters[epoch]!, 'hex'))
    .digest('hex');

/** One end of the session, its clocks standing still. */
class End {
  readonly session: Session;
  readonly #role: Role;
  /** Acceptor: lanes that have not joined yet. */
  readonly #greetings = new Map<number, PendingHandshake>();
  /** What was to be sent last on lanes that are gone. */
  readonly #last = new Map<number, readonly Uint8Array[]>();

  constructor(role: Role) {
    this.#role = role;
    this.session = new Session(this.#options, 0, 1_700_000_000_000);
  }

  get #options() {
    return sessionOptions(this.#role, {
      software: 'routy/0.1.0',
      instance: vectors[this.#role].instance,
      sessionId: vectors.session.id,
      secret: this.#role === 'acceptor' ? vectors.session.secret : '',
      settings: { heartbeat_interval: '5s' },
    });
  }

  arrive(lane: number, bytes: Uint8Array): void {
    const known = this.session.lanes().some((each) => each.lane === lane);
    if (this.#role === 'dialler' || known) {
      this.session.handleBytes(0, lane, bytes);
    } else {
      const greeting = new PendingHandshake(this.#options, 0, 1_700_000_000_000);
      greeting.handleBytes(0, bytes);
      this.#greetings.set(lane, greeting);
    }
    this.#takeEvents();
  }

  sent(lane: number): Uint8Array {
    this.#takeEvents();
    const pieces = [...(this.#last.get(lane) ?? [])];
    this.#last.delete(lane);
    for (;;) {
      const buffers = this.session.pollTransmit(lane, 1024 * 1024);
      if (buffers === undefined) return concat(pieces);
      pieces.push(...buffers);
    }
  }

  command(call: Call): void {
    const { session } = this;
    switch (call[0]) {
      case 'dial':
        session.dial(0, prove);
        break;
      case 'admit':
        this.#admit(call[1]);
        break;
      case 'laneLost':
        session.handleLaneClosed(0, call[1], 'connection reset');
        break;
      case 'drain':
        session.drain();
        break;
      case 'open':
        assert.ok(session.open(0, call[1]).ok);
        break;
      case 'accept':
        session.accept(call[1]);
        break;
      case 'end':
        session.end(call[1]);
        break;
      case 'finDelivered':
        session.finDelivered(call[1]);
        break;
      case 'write':
        session.write(0, call[1], new TextEncoder().encode(call[2]));
        break;
      case 'delivered':
        session.delivered(0, call[1], call[2]);
        break;
      case 'offer':
        session.offer(call[1]);
        break;
      case 'reset':
        session.reset(call[1], call[2], call[3]);
        break;
      case 'close':
        session.close(0, call[1], call[2]);
    }
  }

  #admit(lane: number): void {
    const { hello, early } = this.#greetings.get(lane)!;
    assert.ok(hello !== undefined && !early);
    assert.equal(this.session.judge(hello, prove), undefined);
    assert.equal(this.session.admit(0, hello, prove), lane);
  }

  #takeEvents(): void {
    for (let event = this.session.pollEvent(); event; event = this.session.pollEvent()) {
      if (event.kind === 'lane-closed' && !event.abort) this.#last.set(event.lane, event.last);
    }
  }
}

/** How much credit a side gives is its own affair; everything else is fixed by the steps. */
function withoutCredit(frame: ReadFrame): unknown {
  const { type, flags, stream, offset, payload } = frame;
  const rest = { type: frameName(type), flags, stream };
  if (type === FrameType.HELLO) {
    return { ...rest, hello: { ...parseHello(payload), initialWindow: 0 } };
  }
  if (type === FrameType.RESUME) {
    const records = resumeRecords(frame).map(([kind, ...fields]) =>
      kind === 'stream' ? { ...(fields[0] as object), limit: 0 } : [kind, ...fields],
    );
    return { ...rest, records };
  }
  const grants: readonly number[] = [FrameType.OPEN, FrameType.ACCEPT, FrameType.CREDIT];
  const hex = Buffer.from(payload).toString('hex');
  return grants.includes(type) ? { ...rest, hex } : { ...rest, offset, hex };
}

for (const { name, steps } of vectors.exchanges) {
  test(`${name}: goes as its vector says, frame for frame`, () => {
    const ends = { dialler: new End('dialler'), acceptor: new End('acceptor') };
    let compared = 0;
    for (const step of steps) {
      if ('call' in step) {
        ends[step.at].command(step.call);
        continue;
      }
      const { from, lane, means, hex } = step;
      const expected = Uint8Array.from(Buffer.from(hex, 'hex'));
      const frames = readFrames([expected]);
      assert.deepEqual(
        readFrames([ends[from].sent(lane)]).map(withoutCredit),
        frames.map(withoutCredit),
        means.join(', '),
      );
      assert.deepEqual(
        means.map((text) => text.split(' ')[0]),
        frames.map((frame) => frameName(frame.type)),
      );
      if (!step.lost) ends[from === 'dialler' ? 'acceptor' : 'dialler'].arrive(lane, expected);
      compared++;
    }
    assert.ok(compared > 0);
    for (const { session } of [ends.dialler, ends.acceptor]) {
      assert.equal(session.streamCount, 0);
      assert.ok(session.closed);
    }
  });
}
