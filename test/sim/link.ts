import type { SessionEvent } from '../../src/session/events.ts';
import type { Session } from '../../src/session/session.ts';
import type { LaneCode, StreamCode } from '../../src/wire/codes.ts';
import type { Hello } from '../../src/wire/payload.ts';
import { App } from './app.ts';
import type { Task } from './clock.ts';
import type { Conversation } from './conversation.ts';
import { must } from './failure.ts';
import type { LaneEnd, SimLane } from './lane.ts';
import { Monitor } from './monitor.ts';
import type { SimNode } from './node.ts';
import type { World } from './world.ts';

/** Timers that may fire in one instant; more means that a timeout is asked for again and again. */
const TIMERS_AT_ONCE_MAX = 50;

/** One session core on one end of one lane, driven as a node's driver would. */
export class Link {
  readonly world: World;
  readonly node: 0 | 1;
  readonly owner: SimNode;
  readonly lane: SimLane;
  readonly session: Session;
  readonly monitor: Monitor;
  readonly name: string;
  readonly apps = new Map<number, App>();
  /** The other end of the same lane. */
  peer: Link | undefined;
  peerHello: Hello | undefined;
  offered: readonly string[] = [];
  /** The peer's latest offer, as it arrived. */
  offers: readonly string[] = [];
  closed:
    | { readonly code: LaneCode; readonly reason: string; readonly remote: boolean }
    | undefined;
  readonly pings = new Set<number>();
  readonly #end: LaneEnd;
  #laneGone = false;
  #pumping = false;
  #timer: Task | undefined;
  #timersAtOnce = 0;
  #lastTimerMs = -1;

  constructor(world: World, owner: SimNode, lane: SimLane, name: string, session: Session) {
    this.world = world;
    this.owner = owner;
    this.node = owner.index;
    this.lane = lane;
    this.name = name;
    this.session = session;
    this.monitor = new Monitor(name);
    this.#end = lane.ends[this.node];
    this.#end.bind({
      onBytes: (bytes) => {
        this.monitor.got(bytes);
        this.session.handleBytes(this.nowMs, bytes);
        this.pump();
      },
      onRoom: () => this.pump(),
      onClosed: (reason) => {
        this.#laneGone = true;
        this.session.handleLaneClosed(this.nowMs, reason);
        this.pump();
      },
    });
  }

  /** This node's monotonic clock. */
  get nowMs(): number {
    return this.owner.nowMs;
  }

  open(conversation: Conversation): void {
    const result = this.session.open(this.nowMs, openRequest(conversation));
    conversation.opened = result.ok;
    const said = result.ok ? `stream ${result.stream}` : result.code;
    this.note(`open c${conversation.id}: ${said}`);
    if (result.ok) this.#start(result.stream, conversation);
    this.pump();
  }

  /** The node's end of the conversation gives it up. */
  giveUp(app: App, code: StreamCode, reason: string): void {
    this.note(`reset ${app.stream} ${code}`);
    this.session.reset(app.stream, code, reason);
    this.#over(app.stream, { kind: 'gave-up', code });
  }

  delivered(stream: number, bytes: number): void {
    this.session.delivered(this.nowMs, stream, bytes);
    this.monitor.delivered(stream, bytes);
  }

  close(code: LaneCode, reason: string): void {
    this.session.close(this.nowMs, code, reason);
    this.pump();
  }

  /** Events, then bytes as far as the lane takes them, then one timer. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let event = this.session.pollEvent(); event; event = this.session.pollEvent()) {
      this.#dispatch(event);
    }
    this.#transmit();
    this.#arm();
    this.#pumping = false;
    if (this.closed !== undefined) this.#endLane(this.closed.code);
  }

  note(what: string): void {
    this.world.note(`${this.name} ${what}`);
  }

  #transmit(): void {
    while (!this.#laneGone && (this.#end.roomBytes > 0 || this.closed !== undefined)) {
      const buffers = this.session.pollTransmit(Math.max(1, this.#end.roomBytes));
      if (buffers === undefined) return;
      this.monitor.sent(buffers);
      this.#end.write(buffers);
    }
  }

  #endLane(code: LaneCode): void {
    if (this.#laneGone) return;
    this.#laneGone = true;
    if (code === 'heartbeat-timeout') this.#end.destroy();
    else this.#end.end();
  }

  #arm(): void {
    const atMs = this.session.pollTimeout();
    if (this.#timer !== undefined) this.#timer.cancelled = true;
    this.#timer = undefined;
    if (atMs === undefined) return;
    this.#timer = this.world.clock.at(this.owner.virtualMs(atMs), () => this.#timeout());
  }

  #timeout(): void {
    const { nowMs } = this.world.clock;
    this.#timersAtOnce = nowMs === this.#lastTimerMs ? this.#timersAtOnce + 1 : 0;
    this.#lastTimerMs = nowMs;
    must(this.#timersAtOnce < TIMERS_AT_ONCE_MAX, () => `${this.name}: its timer spins`);
    this.session.wallOffsetMs = this.owner.wallOffsetMs;
    this.session.handleTimeout(this.nowMs);
    this.pump();
  }

  #dispatch(event: SessionEvent): void {
    switch (event.kind) {
      case 'opened':
        this.#opened(event.stream, event.request.service);
        break;
      case 'data':
        this.world.note(`${this.name} data ${event.stream} +${event.bytes.length}`);
        this.apps.get(event.stream)?.data(event.bytes);
        break;
      case 'fin':
        this.note(`fin ${event.stream}`);
        this.apps.get(event.stream)?.fin();
        break;
      case 'writable':
        this.note(`writable ${event.stream}`);
        this.apps.get(event.stream)?.writable();
        break;
      case 'accepted':
        this.note(`accepted ${event.stream}`);
        this.apps.get(event.stream)?.accepted();
        break;
      case 'finished':
        this.note(`finished ${event.stream}`);
        this.#over(event.stream, { kind: 'finished' });
        break;
      case 'reset':
        this.note(`reset ${event.stream} by peer: ${event.code}`);
        this.#over(event.stream, { kind: 'reset', code: event.code });
        break;
      default:
        this.#dispatchSession(event);
    }
  }

  #dispatchSession(event: SessionEvent): void {
    switch (event.kind) {
      case 'hello':
        this.note(`hello ${event.hello.session.id} ${event.hello.session.epoch}`);
        this.owner.judge(this, event.hello);
        break;
      case 'established':
        this.note('established');
        this.peerHello = event.hello;
        this.world.established(this);
        break;
      case 'offers':
        this.offers = event.services;
        break;
      case 'draining':
        this.note('peer drains');
        break;
      case 'pong':
        this.pings.delete(event.sequence);
        this.world.checkClock(this, event);
        break;
      case 'closed':
        this.#closed(event);
        break;
    }
  }

  #opened(stream: number, service: string): void {
    const conversation = this.world.conversation(service);
    this.note(`opened ${stream} ${service}`);
    this.monitor.opened(stream);
    this.#start(stream, conversation);
  }

  #start(stream: number, conversation: Conversation): void {
    const app = new App(this, stream, conversation);
    this.apps.set(stream, app);
    app.start();
  }

  #over(stream: number, outcome: Parameters<App['over']>[0]): void {
    const app = this.apps.get(stream);
    // After this node gave a stream up, what the session had already said of it still comes.
    if (app === undefined) return;
    this.apps.delete(stream);
    this.monitor.over(stream);
    app.over(outcome);
  }

  #closed(event: Extract<SessionEvent, { kind: 'closed' }>): void {
    this.note(`closed ${event.code} ${event.remote ? 'by peer' : 'here'}: ${event.reason}`);
    must(this.closed === undefined, () => `${this.name}: closed twice`);
    must(this.apps.size === 0, () => `${this.name}: closed with ${this.apps.size} streams`);
    this.closed = event;
    this.world.linkClosed(this);
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
