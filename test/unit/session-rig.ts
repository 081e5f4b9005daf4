import assert from 'node:assert/strict';
import type { SessionEvent } from '../../src/session/events.ts';
import type { SessionOptions } from '../../src/session/options.ts';
import { WARM_UP_PINGS } from '../../src/session/heartbeat.ts';
import { Session } from '../../src/session/session.ts';
import { frameName } from '../../src/wire/layout.ts';
import {
  concat,
  helloFrame,
  type ReadFrame,
  readFrames,
  sessionOptions,
} from '../support/frames.ts';

export const WALL_OFFSET_MS = 1_700_000_000_000;

/** One session, fed with frames by hand. */
export class Rig {
  readonly session: Session;
  readonly options: SessionOptions;
  nowMs = 1_000;

  constructor(role: 'dialler' | 'acceptor', changes: Partial<SessionOptions> = {}) {
    this.options = sessionOptions(role, changes);
    this.session = new Session(this.options, this.nowMs, WALL_OFFSET_MS);
  }

  /** The peer's frames arrive, as one chunk. */
  feed(...frames: Uint8Array[]): void {
    this.session.handleBytes(this.nowMs, concat(frames));
  }

  /** Events since the last call. */
  events(): SessionEvent[] {
    const events: SessionEvent[] = [];
    for (let event = this.session.pollEvent(); event; event = this.session.pollEvent()) {
      events.push(event);
    }
    return events;
  }

  kinds(): string[] {
    return this.events().map((event) => event.kind);
  }

  /** Frames sent since the last call. */
  sent(bytesMax = Number.MAX_SAFE_INTEGER): ReadFrame[] {
    return readFrames(this.session.pollTransmit(bytesMax) ?? []);
  }

  /** `DATA 1`, `PING` and so on, for what was sent since the last call. */
  sentNames(): string[] {
    return this.sent().map((frame) =>
      frame.stream === 0 ? frameName(frame.type) : `${frameName(frame.type)} ${frame.stream}`,
    );
  }

  /** Time passes, and the timer fires whenever it is due. */
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let i = 0; i < 100_000; i++) {
      const atMs = this.session.pollTimeout();
      if (atMs === undefined || atMs > untilMs) {
        this.nowMs = untilMs;
        return;
      }
      this.nowMs = Math.max(this.nowMs, atMs);
      this.session.handleTimeout(this.nowMs);
    }
    assert.fail('the timer spins');
  }

  /** The one `closed` event there must be now. */
  closed(): Extract<SessionEvent, { kind: 'closed' }> {
    const closed = this.events().filter((event) => event.kind === 'closed');
    assert.equal(closed.length, 1, 'one closed event');
    return closed[0]!;
  }
}

/** A session whose HELLOs were exchanged; the first PING and the events up to then are taken. */
export function established(
  role: 'dialler' | 'acceptor',
  changes: Partial<SessionOptions> = {},
): Rig {
  const rig = new Rig(role, changes);
  rig.feed(helloFrame(sessionOptions(role === 'dialler' ? 'acceptor' : 'dialler')));
  rig.session.admit(rig.nowMs);
  assert.ok(rig.session.established);
  // The first heartbeats follow each other quickly; tests begin after them.
  for (let i = 1; i < WARM_UP_PINGS; i++) rig.session.ping(rig.nowMs);
  rig.events();
  rig.sent();
  return rig;
}

export const REQUEST = {
  protocol: 'tcp',
  versions: [1],
  capabilities: [],
  service: 'postgres',
} as const;

/** Opens a stream of this side and returns its id. */
export function open(rig: Rig): number {
  const result = rig.session.open(rig.nowMs, REQUEST);
  assert.ok(result.ok, 'the stream opens');
  return result.stream;
}

/** Two sessions joined by a perfect lane without latency. */
export class Pair {
  readonly dialler: Rig;
  readonly acceptor: Rig;
  readonly diallerEvents: SessionEvent[] = [];
  readonly acceptorEvents: SessionEvent[] = [];

  constructor(
    diallerChanges: Partial<SessionOptions> = {},
    acceptorChanges: Partial<SessionOptions> = {},
  ) {
    this.dialler = new Rig('dialler', diallerChanges);
    this.acceptor = new Rig('acceptor', acceptorChanges);
    this.exchange();
  }

  /** Carries bytes both ways until both are silent, admitting the dialler on the way. */
  exchange(): void {
    let moved = true;
    while (moved) {
      const forth = carry(this.dialler, this.acceptor);
      const back = carry(this.acceptor, this.dialler);
      moved = forth || back;
      this.diallerEvents.push(...this.dialler.events());
      const events = this.acceptor.events();
      this.acceptorEvents.push(...events);
      if (events.some((event) => event.kind === 'hello')) {
        this.acceptor.session.admit(this.acceptor.nowMs);
        moved = true;
      }
    }
  }

  pass(ms: number): void {
    this.dialler.pass(ms);
    this.acceptor.pass(ms);
    this.exchange();
  }
}

function carry(from: Rig, to: Rig): boolean {
  let moved = false;
  for (;;) {
    const buffers = from.session.pollTransmit(64 * 1024);
    if (buffers === undefined) return moved;
    moved = true;
    to.session.handleBytes(to.nowMs, concat(buffers));
  }
}
