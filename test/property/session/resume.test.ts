import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SessionEvent } from '../../../packages/proto/src/session/events.ts';
import { Pair } from '../../support/session/session-pair.ts';
import { open, type Role } from '../../support/session/session-rig.ts';

const ROLES: readonly Role[] = ['dialler', 'acceptor'];

type Step =
  | { readonly kind: 'open' | 'accept' | 'deliver'; readonly at: Role }
  | { readonly kind: 'write'; readonly at: Role; readonly pick: number; readonly bytes: number }
  | { readonly kind: 'end' | 'reset'; readonly at: Role; readonly pick: number }
  | { readonly kind: 'dial'; readonly held: readonly Role[] }
  | { readonly kind: 'hold'; readonly pick: number; readonly held: readonly Role[] }
  | { readonly kind: 'release'; readonly pick: number }
  | { readonly kind: 'cut'; readonly pick: number; readonly noticedBy: readonly Role[] }
  | { readonly kind: 'close'; readonly at: Role; readonly pick: number }
  | { readonly kind: 'pass'; readonly ms: number };

const at = fc.constantFrom(...ROLES);
const pick = fc.nat(5);
const roles = fc.subarray([...ROLES]);
const bytes = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 200_000 }));
const kindOf = <K extends string>(kind: K) => fc.constant(kind);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: kindOf('open'), at }),
  },
  { weight: 3, arbitrary: fc.record({ kind: kindOf('accept'), at }) },
  { weight: 4, arbitrary: fc.record({ kind: kindOf('deliver'), at }) },
  { weight: 6, arbitrary: fc.record({ kind: kindOf('write'), at, pick, bytes }) },
  { weight: 2, arbitrary: fc.record({ kind: kindOf('end'), at, pick }) },
  { weight: 1, arbitrary: fc.record({ kind: kindOf('reset'), at, pick }) },
  { weight: 3, arbitrary: fc.record({ kind: kindOf('dial'), held: roles }) },
  { weight: 3, arbitrary: fc.record({ kind: kindOf('hold'), pick, held: roles }) },
  { weight: 3, arbitrary: fc.record({ kind: kindOf('release'), pick }) },
  { weight: 3, arbitrary: fc.record({ kind: kindOf('cut'), pick, noticedBy: roles }) },
  { weight: 1, arbitrary: fc.record({ kind: kindOf('close'), at, pick }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: kindOf('pass'), ms: fc.integer({ min: 1, max: 4_000 }) }),
  },
);

/** What one end of a stream has done and seen. */
interface StreamEnd {
  written: number;
  ended: boolean;
  received: number;
  undelivered: number;
  fin: boolean;
  over: 'finished' | 'reset' | undefined;
}

function byteAt(stream: number, by: Role, offset: number): number {
  return (stream * 31 + (by === 'dialler' ? 7 : 101) + offset * 13 + (offset >>> 8)) & 0xff;
}

/** Two sessions, and what their streams must carry whatever becomes of the lanes. */
class Bench {
  readonly pair: Pair;
  readonly #ends: Readonly<Record<Role, Map<number, StreamEnd>>> = {
    dialler: new Map(),
    acceptor: new Map(),
  };
  readonly #incoming: Readonly<Record<Role, number[]>> = { dialler: [], acceptor: [] };
  /** Streams that a step has reset. */
  readonly #given = new Set<number>();

  constructor() {
    const changes = { resumeTimeMs: 3_600_000, heartbeatIntervalMs: 2_000 };
    this.pair = new Pair(changes, changes);
    this.#look();
  }

  run(each: Step): void {
    this.#do(each);
    this.pair.exchange();
    this.#look();
  }

  #do(each: Step): void {
    const { pair } = this;
    switch (each.kind) {
      case 'open':
        this.#ends[each.at].set(open(pair[each.at]), newEnd());
        break;
      case 'accept':
        this.#accept(each.at);
        break;
      case 'deliver':
        this.#deliver(each.at);
        break;
      case 'write':
        this.#write(each.at, each.pick, each.bytes);
        break;
      case 'end':
        this.#end(each.at, this.#choose(each.at, each.pick));
        break;
      case 'reset':
        this.#reset(each.at, this.#choose(each.at, each.pick));
        break;
      case 'dial':
        if (pair.lanes.length < 6) pair.dial(...each.held);
        break;
      case 'pass':
        pair.pass(each.ms);
        break;
      default:
        this.#disturb(each);
    }
  }

  #disturb(each: Extract<Step, { kind: 'hold' | 'release' | 'cut' | 'close' }>): void {
    const { pair } = this;
    const lane = pair.lanes[each.pick % Math.max(1, pair.lanes.length)];
    if (lane === undefined) return;
    if (each.kind === 'hold') pair.hold(lane, ...each.held);
    else if (each.kind === 'release') pair.release(lane);
    else if (each.kind === 'cut') pair.cut(lane, ...each.noticedBy);
    else pair[each.at].session.closeLane(pair[each.at].nowMs, lane, 'enough');
  }

  #choose(role: Role, index: number): number | undefined {
    const live = [...this.#ends[role]].filter(([, end]) => end.over === undefined);
    return live[index % Math.max(1, live.length)]?.[0];
  }

  #accept(role: Role): void {
    for (const id of this.#incoming[role].splice(0)) this.pair[role].session.accept(id);
  }

  #write(role: Role, index: number, length: number): void {
    const id = this.#choose(role, index);
    const end = id === undefined ? undefined : this.#ends[role].get(id)!;
    if (id === undefined || end === undefined || end.ended) return;
    const chunk = Uint8Array.from({ length }, (_, i) => byteAt(id, role, end.written + i));
    this.pair[role].session.write(this.pair[role].nowMs, id, chunk);
    end.written += length;
  }

  #end(role: Role, id: number | undefined): void {
    if (id === undefined) return;
    this.pair[role].session.end(id);
    this.#ends[role].get(id)!.ended = true;
  }

  #reset(role: Role, id: number | undefined): void {
    if (id === undefined) return;
    this.pair[role].session.reset(id, 'cancelled', 'a step');
    this.#ends[role].get(id)!.over = 'reset';
    this.#given.add(id);
  }

  #deliver(role: Role): void {
    const { session, nowMs } = this.pair[role];
    for (const [id, end] of this.#ends[role]) {
      if (end.over !== undefined) continue;
      session.delivered(nowMs, id, end.undelivered);
      end.undelivered = 0;
      if (end.fin) session.finDelivered(id);
    }
  }

  #look(): void {
    const { pair } = this;
    for (const event of pair.diallerEvents.splice(0)) this.#take('dialler', event);
    for (const event of pair.acceptorEvents.splice(0)) this.#take('acceptor', event);
  }

  #take(role: Role, event: SessionEvent): void {
    if (event.kind === 'closed') assert.fail(`${role} closed: ${event.code} ${event.reason}`);
    if (!('stream' in event)) return;
    const { kind, stream: id } = event;
    if (kind === 'opened') {
      assert.ok(!this.#ends[role].has(id), 'opened once');
      this.#ends[role].set(id, newEnd());
      this.#incoming[role].push(id);
    }
    const end = this.#ends[role].get(id)!;
    assert.equal(end.over, undefined, `${kind} on a stream that is over`);
    if (kind === 'data') this.#data(role, id, end, event.bytes);
    if (kind === 'fin') {
      assert.equal(end.fin, false, 'half-closed once');
      end.fin = true;
      assert.equal(end.received, this.#peerOf(role, id).written, 'all bytes before FIN');
    }
    if (kind === 'finished') end.over = 'finished';
    if (kind === 'reset') {
      assert.ok(this.#given.has(id), `${role}: ${id} is reset: ${event.code} ${event.reason}`);
      end.over = 'reset';
    }
  }

  #data(role: Role, id: number, end: StreamEnd, piece: Uint8Array): void {
    const by = role === 'dialler' ? 'acceptor' : 'dialler';
    assert.equal(end.fin, false);
    for (const byte of piece) {
      if (byte !== byteAt(id, by, end.received))
        assert.fail(`${id}: wrong byte at ${end.received}`);
      end.received++;
    }
    end.undelivered += piece.length;
    assert.ok(end.received <= this.#peerOf(role, id).written);
  }

  #peerOf(role: Role, id: number): StreamEnd {
    return this.#ends[role === 'dialler' ? 'acceptor' : 'dialler'].get(id)!;
  }

  /** The path heals and everybody ends: every stream comes to its end on both sides. */
  heal(): void {
    const { pair } = this;
    for (const lane of pair.lanes) pair.release(lane);
    pair.dial();
    for (let i = 0; i < 60; i++) {
      this.#look();
      for (const role of ROLES) {
        this.#accept(role);
        for (const [id, end] of this.#ends[role]) if (!end.over) this.#end(role, id);
        this.#deliver(role);
      }
      pair.pass(i < 40 ? 50 : 1_000);
    }
    this.#look();
  }

  check(): void {
    for (const role of ROLES) {
      const { session, options } = this.pair[role];
      for (const [id, end] of this.#ends[role]) {
        assert.ok(end.over, `${role}: stream ${id} hangs: ${JSON.stringify(end)}`);
        if (this.#given.has(id)) continue;
        assert.equal(end.over, 'finished');
        assert.equal(end.received, this.#peerOf(role, id).written);
      }
      assert.equal(session.streamCount, 0);
      assert.deepEqual([session.bufferedBytes, session.memory().reassemblyBytes], [0, 0]);
      assert.deepEqual([options.pools.send.used, options.pools.receive.used], [0, 0]);
      assert.ok(session.established && !session.suspended);
      for (const { streams } of session.lanes()) assert.equal(streams, 0);
    }
  }
}

function newEnd(): StreamEnd {
  return { written: 0, ended: false, received: 0, undelivered: 0, fin: false, over: undefined };
}

test('whatever becomes of the lanes, every byte comes once and every stream to its end', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const bench = new Bench();
      for (const each of steps) bench.run(each);
      bench.heal();
      bench.check();
    }),
    { numRuns: 150 },
  );
});
