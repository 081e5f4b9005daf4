import type { Identity } from '../../../packages/proto/src/base/identity.ts';
import type {
  HandshakeOptions,
  SessionOptions,
} from '../../../packages/proto/src/session/options.ts';
import type { Task } from '../clock.ts';
import type { NodePlan } from '../plan.ts';
import { Process } from './process.ts';
import type { World } from '../world.ts';

const IDENTITIES: readonly [Identity, Identity] = [
  { fabric: 'sim', site: 'red', node: 'red1' },
  { fabric: 'sim', site: 'gray', node: 'gray1' },
];

/** Has a good certificate of the fabric, and no business with the others' sessions. */
export const STRANGER: Identity = { fabric: 'sim', site: 'blue', node: 'blue1' };

interface Deferred {
  readonly process: Process;
  readonly run: () => void;
  readonly isTimer: boolean;
}

/** A node: its clocks, and its process, which may stand still for a while or be another one later. */
export class SimNode {
  readonly index: 0 | 1;
  readonly plan: NodePlan;
  process: Process;
  readonly #world: World;
  #starts = 0;
  #frozenUntilMs: number | undefined;
  #timersFirst = false;
  /** Virtual time up to which it stood still. */
  #thawedAtMs = -Infinity;
  #deferred: Deferred[] = [];

  constructor(world: World, index: 0 | 1, plan: NodePlan) {
    this.#world = world;
    this.index = index;
    this.plan = plan;
    this.process = this.#newProcess();
  }

  get identity(): Identity {
    return IDENTITIES[this.index];
  }

  get peerIdentity(): Identity {
    return IDENTITIES[this.index === 0 ? 1 : 0];
  }

  /** The monotonic clock, which runs a little fast or slow. */
  get nowMs(): number {
    return this.plan.clockBaseMs + this.#world.clock.nowMs * this.plan.clockRate;
  }

  /** The virtual time at which the monotonic clock has surely reached `localMs`. */
  virtualMs(localMs: number): number {
    return (localMs - this.plan.clockBaseMs) / this.plan.clockRate + 1e-6;
  }

  get wallMs(): number {
    return this.#world.clock.nowMs + this.plan.wallSkewMs;
  }

  get wallOffsetMs(): number {
    return this.wallMs - this.nowMs;
  }

  /** Whether it stood still at any moment from then on. */
  stoodStillSince(virtualMs: number): boolean {
    return this.#frozenUntilMs !== undefined || this.#thawedAtMs >= virtualMs;
  }

  /** Does it now, or once the process goes on; never for a process that is gone. */
  do(process: Process, run: () => void, isTimer = false): void {
    if (!process.alive) return;
    if (this.#frozenUntilMs === undefined) run();
    else this.#deferred.push({ process, run, isTimer });
  }

  /** Does it after a while, or at a virtual time, unless the task is cancelled. */
  after(process: Process, delayMs: number, run: () => void): Task {
    return this.at(process, this.#world.clock.nowMs + delayMs, run);
  }

  at(process: Process, virtualMs: number, run: () => void): Task {
    const unlessCancelled = () => {
      if (!task.cancelled) run();
    };
    const task = this.#world.clock.at(virtualMs, () => this.do(process, unlessCancelled, true));
    return task;
  }

  /** The process does nothing and gets nothing; what comes meanwhile waits for it. */
  freeze(forMs: number, timersFirst: boolean): void {
    const { clock } = this.#world;
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs ?? 0, clock.nowMs + forMs);
    this.#timersFirst = timersFirst;
    clock.at(this.#frozenUntilMs, () => {
      if (this.#frozenUntilMs !== undefined && clock.nowMs >= this.#frozenUntilMs) this.#thaw();
    });
  }

  /** The process is gone; another one starts after a while. */
  restart(downMs: number): void {
    this.process.kill();
    this.#world.clock.after(downMs, () => {
      if (this.process.alive) return;
      this.process = this.#newProcess();
      this.#world.started(this);
    });
  }

  handshakeOptions(peer: Identity): HandshakeOptions {
    return {
      self: this.identity,
      peer,
      software: 'routy/sim',
      instance: this.process.instance,
      settings: this.#world.settings(this.index),
      handshakeTimeoutMs: this.#world.plan.handshakeTimeoutMs,
    };
  }

  sessionOptions(): Omit<SessionOptions, 'sessionId' | 'secret'> {
    const { plan } = this.#world;
    return {
      ...this.handshakeOptions(this.peerIdentity),
      role: this.index === 0 ? 'dialler' : 'acceptor',
      heartbeatIntervalMs: plan.heartbeatIntervalMs,
      heartbeatMisses: plan.heartbeatMisses,
      resumeTimeMs: plan.resumeTimeMs,
      streamWindow: this.plan.streamWindow,
      sessionBuffer: this.plan.sessionBuffer,
      streams: this.plan.streams,
      pools: this.process.poolsOf(this.peerIdentity),
    };
  }

  #newProcess(): Process {
    const name = `n${this.index}${"'".repeat(this.#starts++)}`;
    return new Process(name, this.#world.random.hex(32), this.plan.poolBytes);
  }

  #thaw(): void {
    this.#world.note(`n${this.index} goes on`);
    this.#frozenUntilMs = undefined;
    this.#thawedAtMs = this.#world.clock.nowMs;
    const due = this.#deferred;
    this.#deferred = [];
    // A stable sort: bytes stay in the order they came.
    if (this.#timersFirst) due.sort((a, b) => Number(b.isTimer) - Number(a.isTimer));
    for (const { process, run } of due) if (process.alive) run();
  }
}
