import type { SessionEvent } from '../../../packages/proto/src/session/events.ts';
import type { Prove } from '../../../packages/proto/src/session/lanes/handshake.ts';
import { Session } from '../../../packages/proto/src/session/session.ts';
import type { LaneCode, StreamCode } from '../../../packages/proto/src/wire/codes.ts';
import type { Hello } from '../../../packages/proto/src/wire/payload.ts';
import { App } from '../apps/app.ts';
import type { Task } from '../clock.ts';
import type { Conversation } from '../apps/conversation.ts';
import { must } from '../failure.ts';
import type { LaneEnd, SimLane } from '../network/lane.ts';
import { Monitor } from '../invariants/monitor.ts';
import type { SimNode } from './node.ts';
import { ACCEPTED_LANES_MAX, type Process } from './process.ts';
import { proveOn } from '../proof.ts';
import type { World } from '../world.ts';

/** Timers that may fire in one instant; more means that a timeout is asked for again and again. */
const TIMERS_AT_ONCE_MAX = 50;

/** What memory that was lent is overwritten with. */
const POISON = 0xdb;

/** This end of a lane that was dialled or admitted, until the session gives it up. */
export interface Port {
  readonly lane: SimLane;
  readonly end: LaneEnd;
  readonly epoch: number;
  /** It carries the session. */
  up: boolean;
  /** The lane told of its end. */
  gone: boolean;
}

export interface Ending {
  readonly code: LaneCode;
  readonly reason: string;
  readonly remote: boolean;
}

/** A session that a dialler makes, or an acceptor for a dialler's HELLO. */
export interface SessionStart {
  readonly id: string;
  readonly secret: string;
  readonly replaces?: string;
}

/** One end of a session, driven as a node's driver would, with all its lanes and streams. */
export class SimSession {
  readonly world: World;
  readonly node: 0 | 1;
  readonly owner: SimNode;
  readonly process: Process;
  readonly id: string;
  /** An acceptor's. */
  readonly secret: string;
  readonly name: string;
  readonly core: Session;
  readonly monitor: Monitor;
  readonly apps = new Map<number, App>();
  /** By epoch. */
  readonly ports = new Map<number, Port>();
  /** Streams that this end has reset after data, which goes on to the other end. */
  readonly #resetting = new Map<number, Conversation>();
  readonly pings = new Set<number>();
  peerHello: Hello | undefined;
  /** What this end offered last. */
  offered: readonly string[] = [];
  /** The peer's latest offer, as it arrived. */
  offers: readonly string[] = [];
  drained = false;
  /** This end was told to end the session. */
  closing = false;
  /** The session that was admitted in its place. */
  displacedBy: string | undefined;
  /** It had as many lanes as an acceptor holds, and may have closed one for the next. */
  crowded = false;
  resumes = 0;
  /** Of events that were taken. */
  rounds = 0;
  closed: Ending | undefined;
  /** Monotonic time of the last byte on a lane that carries the session; and on any. */
  heardMs: number;
  heardAnyMs: number;
  suspendedAtMs: number | undefined;
  /** Highest epoch of a lane, and all there were. */
  epoch = 0;
  readonly epochs = new Set<number>();
  #pumping = false;
  #timer: Task | undefined;
  #timersAtOnce = 0;
  #lastTimerMs = -1;

  constructor(world: World, owner: SimNode, name: string, start: SessionStart) {
    this.world = world;
    this.owner = owner;
    this.node = owner.index;
    this.process = owner.process;
    this.id = start.id;
    this.secret = start.secret;
    this.name = name;
    this.monitor = new Monitor(name, this.node === 0);
    this.heardMs = owner.nowMs;
    this.heardAnyMs = owner.nowMs;
    const options = {
      ...owner.sessionOptions(),
      sessionId: start.id,
      secret: start.secret,
      ...(start.replaces !== undefined && { replaces: start.replaces }),
      pauseWriters: () => {
        for (const app of this.apps.values()) app.pause();
      },
    };
    this.core = new Session(options, owner.nowMs, owner.wallOffsetMs);
    this.process.sessions.add(this);
  }

  /** This node's monotonic clock. */
  get nowMs(): number {
    return this.owner.nowMs;
  }

  /** Dialler: one lane more. */
  dial(lane: SimLane): void {
    const prove = proveOn(lane, this.id);
    this.core.wallOffsetMs = this.owner.wallOffsetMs;
    this.#attach(this.core.dial(this.nowMs, prove), lane, undefined);
  }

  /** Acceptor: the lane joins. */
  admit(lane: SimLane, hello: Hello, prove: Prove): void {
    this.heardAnyMs = this.nowMs;
    this.core.wallOffsetMs = this.owner.wallOffsetMs;
    this.#attach(this.core.admit(this.nowMs, hello, prove), lane, hello);
  }

  open(conversation: Conversation): void {
    const result = this.core.open(this.nowMs, openRequest(conversation));
    conversation.opened = result.ok;
    const said = result.ok ? `stream ${result.stream}` : result.code;
    this.note(`open c${conversation.id}: ${said}`);
    if (result.ok) this.#start(result.stream, conversation);
    this.pump();
  }

  /** The node's end of the conversation gives it up. */
  giveUp(app: App, code: StreamCode, reason: string): void {
    this.note(`reset ${app.stream} ${code}`);
    this.core.reset(app.stream, code, reason);
    if (code === 'connection-reset') {
      const { written } = app.conversation.ends[this.node]!;
      if (this.monitor.resetting(app.stream, written)) {
        this.#resetting.set(app.stream, app.conversation);
      }
    }
    this.over(app.stream, { kind: 'gave-up', code });
  }

  delivered(stream: number, bytes: number): void {
    this.core.delivered(this.nowMs, stream, bytes);
    this.monitor.delivered(stream, bytes);
  }

  offer(services: readonly string[]): void {
    this.offered = services;
    this.core.offer(services);
    this.pump();
  }

  drain(): void {
    this.drained ||= this.core.established;
    this.core.drain();
    this.pump();
  }

  close(code: LaneCode, reason: string): void {
    this.closing = true;
    this.core.close(this.nowMs, code, reason);
    this.pump();
  }

  /** Ends one lane; the session goes on. */
  closeLane(epoch: number): void {
    this.ports.get(epoch)!.lane.done = true;
    this.core.closeLane(this.nowMs, epoch, 'planned');
    this.pump();
  }

  /** The process is gone: no word of it to anybody. */
  die(): void {
    for (const app of this.apps.values()) app.over({ kind: 'died' });
    this.apps.clear();
    for (const port of this.ports.values()) if (!port.gone) port.end.destroy();
    this.ports.clear();
    this.#cancelTimer();
  }

  after(delayMs: number, run: () => void): Task {
    return this.owner.after(this.process, delayMs, run);
  }

  /** Events, then bytes as far as the lanes take them, then one timer. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.rounds++;
    for (let event = this.core.pollEvent(); event; event = this.core.pollEvent()) {
      must(this.closed === undefined, () => `${this.name}: ${event?.kind} after its end`);
      this.#dispatch(event);
    }
    for (const port of [...this.ports.values()]) this.#transmit(port);
    const told = this.core.closed === (this.closed !== undefined);
    must(told, () => `${this.name}: ended while it was asked for bytes`);
    this.#arm();
    this.#pumping = false;
  }

  note(what: string): void {
    this.world.note(`${this.name} ${what}`);
  }

  /** Bounds for what the session must and may hold for replay, in bytes. */
  replayBounds(): { least: number; most: number } {
    let least = 0;
    let most = 0;
    for (const stream of [...this.#resetting.keys()]) {
      if (!this.monitor.isResetting(stream)) this.#resetting.delete(stream);
    }
    for (const [stream, conversation] of this.#conversations()) {
      const here = conversation.ends[this.node]!;
      const there = conversation.ends[1 - this.node]!;
      // What the other end has not delivered must be here, or it is lost.
      if (there.outcome === undefined) least += here.written - there.delivered;
      most += this.monitor.unacknowledged(stream, here.written);
    }
    return { least, most };
  }

  *#conversations(): Iterable<[number, Conversation]> {
    for (const [stream, { conversation }] of this.apps) yield [stream, conversation];
    yield* this.#resetting;
  }

  #attach(epoch: number, lane: SimLane, hello: Hello | undefined): void {
    must(!this.epochs.has(epoch), () => `${this.name}: lane ${epoch} twice`);
    this.epochs.add(epoch);
    this.epoch = Math.max(this.epoch, epoch);
    const port: Port = { lane, end: lane.ends[this.node], epoch, up: false, gone: false };
    this.ports.set(epoch, port);
    this.crowded ||= this.ports.size >= ACCEPTED_LANES_MAX;
    this.monitor.addLane(epoch, hello);
    this.note(`lane ${lane.number} is ${epoch}`);
    const ifMine = (run: () => void) =>
      this.owner.do(this.process, () => {
        if (this.ports.get(epoch) === port) run();
      });
    port.end.bind({
      onBytes: (bytes) => ifMine(() => this.#bytes(port, bytes)),
      onRoom: () => ifMine(() => this.pump()),
      onClosed: (reason) => ifMine(() => this.#laneClosed(port, reason)),
    });
    this.pump();
  }

  #bytes(port: Port, bytes: Uint8Array): void {
    this.heardAnyMs = this.nowMs;
    if (port.up) this.heardMs = this.nowMs;
    this.monitor.got(port.epoch, bytes);
    this.core.wallOffsetMs = this.owner.wallOffsetMs;
    if (port.epoch % 2 === 0) this.core.handleBytes(this.nowMs, port.epoch, bytes);
    else this.#lend(port, new Uint8Array(bytes));
    this.pump();
  }

  /** As a lane does that reads into the same memory again and again: nothing of it is kept. */
  #lend(port: Port, bytes: Uint8Array): void {
    this.core.handleBytes(this.nowMs, port.epoch, bytes, () => 0);
    bytes.fill(POISON);
  }

  #laneClosed(port: Port, reason: string): void {
    port.gone = true;
    this.core.handleLaneClosed(this.nowMs, port.epoch, reason);
    this.pump();
    must(!this.ports.has(port.epoch), () => `${this.name}: keeps lane ${port.epoch}, which closed`);
  }

  #transmit(port: Port): void {
    while (!port.gone && port.end.roomBytes > 0 && this.ports.has(port.epoch)) {
      const buffers = this.core.pollTransmit(port.epoch, port.end.roomBytes);
      if (buffers === undefined) return;
      this.monitor.sent(port.epoch, buffers);
      port.end.write(buffers);
    }
  }

  #arm(): void {
    const atMs = this.core.pollTimeout();
    this.#cancelTimer();
    if (atMs === undefined) return;
    const virtualMs = this.owner.virtualMs(atMs);
    this.#timer = this.owner.at(this.process, virtualMs, () => this.#timeout());
  }

  #cancelTimer(): void {
    if (this.#timer !== undefined) this.#timer.cancelled = true;
    this.#timer = undefined;
  }

  #timeout(): void {
    const { nowMs } = this.world.clock;
    this.#timersAtOnce = nowMs === this.#lastTimerMs ? this.#timersAtOnce + 1 : 0;
    this.#lastTimerMs = nowMs;
    must(this.#timersAtOnce < TIMERS_AT_ONCE_MAX, () => `${this.name}: its timer spins`);
    this.core.wallOffsetMs = this.owner.wallOffsetMs;
    this.core.handleTimeout(this.nowMs);
    this.pump();
  }

  #dispatch(event: SessionEvent): void {
    switch (event.kind) {
      case 'opened':
        this.#opened(event.stream, event.request.service);
        break;
      case 'data':
        this.note(`data ${event.stream} +${event.bytes.length}`);
        this.monitor.received(event.stream, event.bytes.length);
        this.apps.get(event.stream)?.data(event.bytes);
        break;
      case 'fin':
      case 'writable':
      case 'accepted':
        this.note(`${event.kind} ${event.stream}`);
        this.apps.get(event.stream)?.[event.kind]();
        break;
      case 'finished':
        this.note(`finished ${event.stream}`);
        this.over(event.stream, { kind: 'finished' });
        break;
      case 'reset':
        this.note(`reset ${event.stream} by peer: ${event.code}`);
        if (this.apps.get(event.stream)?.reset(event.code) !== false) {
          this.over(event.stream, { kind: 'reset', code: event.code });
        }
        break;
      default:
        this.#dispatchSession(event);
    }
  }

  #dispatchSession(event: SessionEvent): void {
    switch (event.kind) {
      case 'established':
        this.note('established');
        this.peerHello = event.hello;
        this.world.established(this);
        break;
      case 'lane-up':
        this.note(`lane ${event.lane} is up`);
        this.ports.get(event.lane)!.up = true;
        this.heardMs = this.nowMs;
        this.world.laneUp(this);
        break;
      case 'lane-closed':
        this.#portClosed(event);
        break;
      case 'suspended':
        this.note('suspended');
        this.suspendedAtMs = this.nowMs;
        this.world.judge.suspended(this);
        break;
      case 'resumed':
        this.note(`resumed after ${event.suspendedMs}`);
        this.world.judge.resumed(this, event.suspendedMs);
        this.suspendedAtMs = undefined;
        this.resumes++;
        break;
      case 'offers':
        this.offers = [...event.services];
        break;
      case 'draining':
        this.note('peer drains');
        break;
      case 'pong':
        this.pings.delete(event.sequence);
        this.world.judge.clock(this, event);
        break;
      case 'closed':
        this.#closed(event);
    }
  }

  #portClosed(event: Extract<SessionEvent, { kind: 'lane-closed' }>): void {
    const { lane: epoch, code, reason, remote, abort, last } = event;
    this.note(`lane ${epoch} closed: ${code} ${remote ? 'by peer' : 'here'}: ${reason}`);
    const port = this.ports.get(epoch);
    must(port !== undefined, () => `${this.name}: lane ${epoch} closed twice`);
    if (!port.gone && !abort) this.monitor.sent(epoch, last);
    this.monitor.removeLane(epoch, port.up);
    this.ports.delete(epoch);
    this.world.judge.laneClosed(this, port, event);
    if (!port.gone) {
      if (abort) {
        port.end.destroy();
      } else {
        port.end.write(last);
        port.end.end();
      }
    }
    this.world.laneClosed(this, port.up);
  }

  #opened(stream: number, service: string): void {
    const conversation = this.world.conversation(service);
    this.note(`opened ${stream} ${service}`);
    must(!conversation.ends[this.node]!.attached, () => `${this.name}: ${service} opened twice`);
    this.monitor.opened(stream);
    this.#start(stream, conversation);
  }

  #start(stream: number, conversation: Conversation): void {
    const app = new App(this, stream, conversation);
    this.apps.set(stream, app);
    app.start();
  }

  /** The stream is over for the node. */
  over(stream: number, outcome: Parameters<App['over']>[0]): void {
    const app = this.apps.get(stream);
    // After this node gave a stream up, what the session had already said of it still comes.
    if (app === undefined) return;
    this.apps.delete(stream);
    this.monitor.over(stream);
    app.over(outcome);
  }

  #closed(event: Ending): void {
    this.note(`closed ${event.code} ${event.remote ? 'by peer' : 'here'}: ${event.reason}`);
    must(event.remote || event.code !== 'internal', () => `${this.name}: ${event.reason}`);
    // Whoever was told of a reset is told nothing more.
    for (const [stream, { wasReset }] of this.apps) {
      must(wasReset, () => `${this.name}: closed with stream ${stream}`);
      this.over(stream, { kind: 'reset', code: 'session-lost' });
    }
    this.#resetting.clear();
    must(this.ports.size === 0, () => `${this.name}: closed with ${this.ports.size} lanes`);
    this.closed = event;
    this.process.sessions.delete(this);
    this.world.judge.sessionClosed(this, event);
    this.world.sessionClosed(this);
  }
}

function openRequest(conversation: Conversation) {
  return {
    protocol: 'tcp',
    versions: [1],
    capabilities: [],
    service: `c${conversation.id}`,
    source: { address: '127.0.0.1', port: conversation.id % 65536 },
  };
}
