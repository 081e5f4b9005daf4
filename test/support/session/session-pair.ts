import type { SessionEvent } from '../../../packages/proto/src/session/events.ts';
import { PendingHandshake } from '../../../packages/proto/src/session/lanes/pending-handshake.ts';
import type { SessionOptions } from '../../../packages/proto/src/session/options.ts';
import { concat } from './frames.ts';
import { prove, Rig, type Role, WALL_OFFSET_MS } from './session-rig.ts';

const ROLES: readonly Role[] = ['dialler', 'acceptor'];

function other(role: Role): Role {
  return role === 'dialler' ? 'acceptor' : 'dialler';
}

/** Bytes of one direction that were sent and have not arrived. */
interface Direction {
  readonly underWay: Uint8Array[];
  /** They stay under way. */
  held: boolean;
  /** The sender has ended the lane behind them. */
  ended: boolean;
}

interface Wire {
  readonly lane: number;
  /** By who sends. */
  readonly from: Readonly<Record<Role, Direction>>;
  /** The acceptor's end until it has joined the session. */
  greeting: PendingHandshake | undefined;
}

/** Two sessions joined by any number of lanes without latency, which can be held and cut. */
export class Pair {
  readonly dialler: Rig;
  readonly acceptor: Rig;
  readonly diallerEvents: SessionEvent[] = [];
  readonly acceptorEvents: SessionEvent[] = [];
  /** Why the last lane was refused that did not join. */
  refused: PendingHandshake['closed'];
  readonly #wires = new Map<number, Wire>();

  constructor(
    diallerChanges: Partial<SessionOptions> = {},
    acceptorChanges: Partial<SessionOptions> = {},
  ) {
    this.dialler = new Rig('dialler', diallerChanges);
    this.acceptor = new Rig('acceptor', acceptorChanges);
    this.dial();
  }

  /** A new lane, with all that is said on it until both are silent, or hear nothing of `held`. */
  dial(...held: Role[]): number {
    const lane = this.dialler.dial();
    const greeting = new PendingHandshake(
      this.acceptor.options,
      this.acceptor.nowMs,
      WALL_OFFSET_MS,
    );
    this.#wires.set(lane, {
      lane,
      from: { dialler: direction(), acceptor: direction() },
      greeting,
    });
    this.hold(lane, ...held);
    this.exchange();
    return lane;
  }

  /** Lanes that were dialled and not cut, oldest first. */
  get lanes(): number[] {
    return [...this.#wires.keys()];
  }

  /** What `from` sends on the lane stays under way until {@link release}. */
  hold(lane: number, ...from: Role[]): void {
    for (const role of from) this.#wires.get(lane)!.from[role].held = true;
  }

  /** Does nothing to a lane that is gone. */
  release(lane: number): void {
    const wire = this.#wires.get(lane);
    if (wire === undefined) return;
    for (const role of ROLES) wire.from[role].held = false;
    this.exchange();
  }

  /** The lane goes with all that is under way on it; who does not notice hears nothing more of it. */
  cut(lane: number, ...noticedBy: Role[]): void {
    this.#wires.delete(lane);
    for (const role of noticedBy) this[role].lose(lane);
  }

  /** Carries bytes both ways on every lane until all are silent. */
  exchange(): void {
    let moved = true;
    while (moved) {
      moved = false;
      for (const wire of [...this.#wires.values()]) {
        for (const role of ROLES) moved = this.#carry(wire, role) || moved;
      }
      for (const role of ROLES) moved = this.#takeEvents(role) || moved;
    }
  }

  pass(ms: number): void {
    this.dialler.pass(ms);
    this.acceptor.pass(ms);
    this.exchange();
  }

  #carry(wire: Wire, role: Role): boolean {
    const { underWay, held, ended } = wire.from[role];
    for (;;) {
      const buffers = this[role].session.pollTransmit(wire.lane, 64 * 1024);
      if (buffers === undefined) break;
      underWay.push(concat(buffers));
    }
    if (held || !this.#wires.has(wire.lane)) return false;
    const arrived = underWay.splice(0);
    for (const bytes of arrived) this.#arrive(wire, other(role), bytes);
    if (ended) this.cut(wire.lane, other(role));
    return arrived.length > 0 || ended;
  }

  #arrive(wire: Wire, at: Role, bytes: Uint8Array): void {
    if (at === 'acceptor' && wire.greeting !== undefined) this.#greet(wire, wire.greeting, bytes);
    else this[at].session.handleBytes(this[at].nowMs, wire.lane, bytes);
  }

  #greet(wire: Wire, greeting: PendingHandshake, bytes: Uint8Array): void {
    const { session, nowMs } = this.acceptor;
    greeting.handleBytes(nowMs, bytes);
    const { hello } = greeting;
    if (hello !== undefined) {
      const refusal = session.judge(hello, prove);
      if (refusal === undefined) {
        wire.greeting = undefined;
        this.acceptor.lane = session.admit(nowMs, hello, prove);
        return;
      }
      greeting.refuse(nowMs, refusal.code, refusal.reason);
    }
    if (greeting.closed === undefined) return;
    this.refused = greeting.closed;
    const back = wire.from.acceptor;
    back.underWay.push(...(greeting.pollTransmit() ?? []));
    back.ended = true;
  }

  /** True when there is something to carry because of them. */
  #takeEvents(role: Role): boolean {
    const events = this[role].events();
    (role === 'dialler' ? this.diallerEvents : this.acceptorEvents).push(...events);
    let moved = false;
    for (const event of events) {
      if (event.kind !== 'lane-closed') continue;
      const way = this.#wires.get(event.lane)?.from[role];
      if (way === undefined) continue;
      if (event.abort) way.underWay.length = 0;
      else way.underWay.push(...event.last);
      way.ended = true;
      moved = true;
    }
    return moved;
  }
}

function direction(): Direction {
  return { underWay: [], held: false, ended: false };
}
