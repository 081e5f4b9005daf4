import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { SessionEvent } from '../../../packages/proto/src/session/events.ts';
import type { Prove } from '../../../packages/proto/src/session/lanes/handshake.ts';
import { WARM_UP_PINGS } from '../../../packages/proto/src/session/lanes/heartbeat.ts';
import type { SessionOptions } from '../../../packages/proto/src/session/options.ts';
import { Session } from '../../../packages/proto/src/session/session.ts';
import { FrameType, frameName } from '../../../packages/proto/src/wire/layout.ts';
import type { HelloSession } from '../../../packages/proto/src/wire/payload.ts';
import {
  concat,
  helloFrame,
  helloOf,
  type ReadFrame,
  readFrames,
  sessionOptions,
} from './frames.ts';

export type Role = 'dialler' | 'acceptor';

export const WALL_OFFSET_MS = 1_700_000_000_000;

/** Stands for the HMAC over a lane's exporter: 64 hex digits that depend on all that is said. */
export const prove: Prove = (secret, epoch, by) =>
  createHash('sha256').update(`${secret} ${epoch} ${by}`).digest('hex');

/** One session, fed with frames by hand. */
export class Rig {
  readonly session: Session;
  readonly options: SessionOptions;
  /** The other end's. */
  readonly peer: SessionOptions;
  nowMs = 1_000;
  /** The lane that is meant where none is named: the last one that was added. */
  lane = 0;

  constructor(role: Role, changes: Partial<SessionOptions> = {}) {
    this.options = sessionOptions(role, changes);
    this.peer = sessionOptions(role === 'dialler' ? 'acceptor' : 'dialler');
    this.session = new Session(this.options, this.nowMs, WALL_OFFSET_MS);
  }

  /** Dialler: a new lane, which is not answered yet. */
  dial(): number {
    this.lane = this.session.dial(this.nowMs, prove);
    return this.lane;
  }

  /** Another lane carries the session. */
  join(): number {
    const first = this.lane === 0;
    if (this.options.role === 'dialler') {
      const epoch = this.dial();
      this.feed(helloFrame(this.peer, first ? undefined : this.proven(epoch)));
    } else {
      const epoch = this.lane + 1;
      const hello = helloOf(this.peer, first ? undefined : this.proven(epoch));
      assert.equal(this.session.judge(hello, prove), undefined);
      this.lane = this.session.admit(this.nowMs, hello, prove);
    }
    return this.lane;
  }

  /** The same; the events of it and the first frames on it are taken. */
  add(): number {
    this.join();
    this.events();
    this.sent();
    return this.lane;
  }

  /** What the peer's HELLO says on a further lane. */
  proven(epoch: number): HelloSession {
    const { role, sessionId: id } = this.peer;
    const { secret } = role === 'acceptor' ? this.peer : this.options;
    return { id, epoch, proof: prove(secret, epoch, role) };
  }

  /** The peer's frames arrive, as one chunk. */
  feed(...frames: Uint8Array[]): void {
    this.feedOn(this.lane, ...frames);
  }

  feedOn(lane: number, ...frames: Uint8Array[]): void {
    this.session.handleBytes(this.nowMs, lane, concat(frames));
  }

  /** The lane is gone. */
  lose(lane = this.lane): void {
    this.session.handleLaneClosed(this.nowMs, lane, 'connection reset');
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

  /** Frames sent on a lane since the last call. */
  sent(bytesMax = Number.MAX_SAFE_INTEGER, lane = this.lane): ReadFrame[] {
    return readFrames(this.session.pollTransmit(lane, bytesMax) ?? []);
  }

  /** `DATA 1`, `PING` and so on, for what was sent since the last call. */
  sentNames(lane = this.lane): string[] {
    return this.sent(undefined, lane).map(nameOf);
  }

  /** The same without heartbeats. */
  said(lane = this.lane): string[] {
    const heartbeats: readonly number[] = [FrameType.PING, FrameType.PONG];
    const frames = this.sent(undefined, lane);
    return frames.filter((each) => !heartbeats.includes(each.type)).map(nameOf);
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
    return this.#one('closed');
  }

  /** The one `lane-closed` event there must be now, `last` as frames. */
  laneClosed(): Omit<Extract<SessionEvent, { kind: 'lane-closed' }>, 'last'> & {
    readonly last: ReadFrame[];
  } {
    const event = this.#one('lane-closed');
    return { ...event, last: readFrames(event.last) };
  }

  #one<K extends SessionEvent['kind']>(kind: K): Extract<SessionEvent, { kind: K }> {
    const events = this.events().filter((event) => event.kind === kind);
    assert.equal(events.length, 1, `one event: ${kind}`);
    return events[0] as Extract<SessionEvent, { kind: K }>;
  }
}

export function nameOf({ type, stream }: ReadFrame): string {
  return stream === 0 ? frameName(type) : `${frameName(type)} ${stream}`;
}

/** A session with a lane; the first PINGs and the events up to then are taken. */
export function established(role: Role, changes: Partial<SessionOptions> = {}): Rig {
  const rig = new Rig(role, changes);
  rig.join();
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
