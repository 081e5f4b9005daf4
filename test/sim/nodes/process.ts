import { Budget } from '../../../packages/proto/src/session/flow/budget.ts';
import { FairPool } from '../../../packages/proto/src/session/flow/fair-pool.ts';
import type { BudgetPools } from '../../../packages/proto/src/session/options.ts';
import { SessionRegistry } from '../../../packages/link/src/peers/session-registry.ts';
import { must } from '../failure.ts';
import type { Greeter } from './greeter.ts';
import type { SimSession } from './sim-session.ts';

/** How many lanes of a session an acceptor holds at most. */
export const ACCEPTED_LANES_MAX = 16;

/** Steps between looks at figures that take time in proportion to the streams. */
const MEMORY_STRIDE = 16;

/** What a node's process holds in memory, and loses with it. */
export class Process {
  /** `n1`, or `n1'` after a restart. */
  readonly name: string;
  readonly instance: string;
  readonly pools: { readonly send: FairPool; readonly receive: FairPool };
  readonly registry = new SessionRegistry((id) =>
    [...this.sessions].some((each) => each.id === id && each.core.suspended),
  );
  readonly sessions = new Set<SimSession>();
  readonly greeters = new Set<Greeter>();
  alive = true;
  /** Bytes of its budgets that other sessions have. */
  pressureBytes = 0;
  #steps = 0;
  #others = 0;

  constructor(name: string, instance: string, poolBytes: number) {
    this.name = name;
    this.instance = instance;
    this.pools = { send: new FairPool(poolBytes), receive: new FairPool(poolBytes) };
  }

  session(id: string): SimSession | undefined {
    for (const session of this.sessions) if (session.id === id) return session;
    return undefined;
  }

  /** The session that streams may be opened in. */
  get established(): SimSession | undefined {
    for (const session of this.sessions) if (session.core.established) return session;
    return undefined;
  }

  /** Gone without a word. */
  kill(): void {
    this.alive = false;
    for (const session of [...this.sessions]) session.die();
    for (const greeter of [...this.greeters]) greeter.die();
    this.sessions.clear();
    this.greeters.clear();
  }

  /** What holds at every step. */
  check(): void {
    if (!this.alive) return;
    const { send, receive } = this.pools;
    let overshoot = 0;
    let exposure = 0;
    for (const session of this.sessions) {
      exposure += session.monitor.exposure;
      let chunks = 0;
      for (const app of session.apps.values()) chunks += app.chunkBytes;
      const buffered = session.core.bufferedBytes;
      const limit = session.owner.plan.sessionBuffer + chunks;
      must(buffered <= limit, () => `${session.name}: buffers ${buffered} bytes of ${limit}`);
      const lanes = session.ports.size;
      must(lanes <= ACCEPTED_LANES_MAX, () => `${session.name}: ${lanes} lanes`);
      overshoot += chunks;
    }
    this.#within(receive.used, 0, receive.limit, 'receive budget');
    this.#within(send.used, 0, send.limit + overshoot + this.pressureBytes, 'send budget');
    this.#within(exposure, 0, receive.used, 'what peers may send');
    if (this.#steps++ % MEMORY_STRIDE === 0) this.#checkMemory();
  }

  /** What a peer's sessions have of the budgets. */
  poolsOf({ site, node }: { site: string; node: string }): BudgetPools {
    const name = `${site}/${node}`;
    return { send: this.pools.send.of(name), receive: this.pools.receive.of(name) };
  }

  /** For somebody else who takes of the budgets. */
  others(): { send: Budget; receive: Budget } {
    const { send, receive } = this.pools;
    const name = `other ${this.#others++}`;
    return {
      send: new Budget(send.limit, send.of(name)),
      receive: new Budget(receive.limit, receive.of(name)),
    };
  }

  /** Nothing of anybody is left. */
  checkEmpty(): void {
    const { send, receive } = this.pools;
    this.#within(this.sessions.size, 0, 0, 'sessions');
    this.#within(this.greeters.size, 0, 0, 'greeters');
    this.#within(send.used, 0, 0, 'send budget');
    this.#within(receive.used, 0, 0, 'receive budget');
    this.#within(this.registry.size, 0, 0, 'registry');
  }

  /** What sessions say they hold is what the budgets say, and nothing undelivered is forgotten. */
  #checkMemory(): void {
    let replayBytes = 0;
    let reassemblyBytes = 0;
    for (const session of this.sessions) {
      const memory = session.core.memory();
      replayBytes += memory.replayBytes;
      reassemblyBytes += memory.reassemblyBytes;
      const { least, most } = session.replayBounds();
      this.#within(memory.replayBytes, least, most, `${session.name}: replay`);
      this.#within(memory.streamReplayBytesMax, 0, memory.replayBytes, 'replay of a stream');
      this.#within(
        memory.streamReassemblyBytesMax,
        0,
        memory.reassemblyBytes,
        'reassembly of a stream',
      );
    }
    const { send, receive } = this.pools;
    this.#within(replayBytes + this.pressureBytes, send.used, send.used, 'replay of all sessions');
    this.#within(reassemblyBytes, 0, receive.used, 'reassembly of all sessions');
  }

  #within(value: number, min: number, max: number, what: string): void {
    must(value >= min && value <= max, () => `${this.name}: ${what}: ${value}, not ${min}..${max}`);
  }
}
