import { SessionRegistry } from '../../src/fabric/registry.ts';
import { Budget } from '../../src/session/budget.ts';
import type { BudgetPools, SessionOptions } from '../../src/session/options.ts';
import type { Hello } from '../../src/wire/payload.ts';
import { must } from './failure.ts';
import type { Link } from './link.ts';
import type { NodePlan } from './plan.ts';
import type { World } from './world.ts';

/** A node: its clocks, its budgets and its links, at most one of them wanted at a time. */
export class SimNode {
  readonly index: 0 | 1;
  readonly plan: NodePlan;
  readonly pools: BudgetPools;
  readonly links = new Set<Link>();
  readonly #world: World;
  readonly #registry = new SessionRegistry();
  readonly #instance: string;

  constructor(world: World, index: 0 | 1, plan: NodePlan, instance: string) {
    this.#world = world;
    this.index = index;
    this.plan = plan;
    this.#instance = instance;
    this.pools = { send: new Budget(plan.poolBytes), receive: new Budget(plan.poolBytes) };
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

  options(sessionId: string, epoch: number, settings: Record<string, string>): SessionOptions {
    const { plan } = this.#world;
    const names = ['red1', 'gray1'] as const;
    const sites = ['red', 'gray'] as const;
    const identity = (index: number) => ({
      fabric: 'sim',
      site: sites[index]!,
      node: names[index]!,
    });
    return {
      role: this.index === 0 ? 'dialler' : 'acceptor',
      self: identity(this.index),
      peer: identity(1 - this.index),
      software: 'routy/sim',
      instance: this.#instance,
      sessionId,
      epoch,
      settings,
      heartbeatIntervalMs: plan.heartbeatIntervalMs,
      heartbeatMisses: plan.heartbeatMisses,
      handshakeTimeoutMs: plan.handshakeTimeoutMs,
      streamWindow: this.plan.streamWindow,
      sessionBuffer: this.plan.sessionBuffer,
      streams: this.plan.streams,
      pools: this.pools,
    };
  }

  /** The acceptor answers a dialler's HELLO, maybe after a while. */
  judge(link: Link, hello: Hello): void {
    const { clock, plan, random, healed } = this.#world;
    const refused = !healed && random.chance(plan.admitRefusedChance);
    const answer = () =>
      refused ? link.close('not-authorized', 'not today') : this.#admit(link, hello);
    if (plan.admitDelayMs === 0 || healed) answer();
    else
      clock.after(plan.admitDelayMs, () => {
        answer();
        link.pump();
      });
  }

  #admit(link: Link, hello: Hello): void {
    if (link.closed !== undefined || link.session.closed) return;
    const { id: sessionId, epoch } = hello.session;
    const { instance, site, node } = hello;
    const peer = `${site}/${node}`;
    const admission = this.#registry.admit({ peer, instance, sessionId, epoch });
    if (!admission.ok) {
      link.close(admission.code, admission.reason);
      return;
    }
    for (const other of [...this.links]) {
      const id = other.peerHello?.session.id;
      if (other === link || id === undefined || !admission.displaced.includes(id)) continue;
      other.close('taken-over', 'a newer lane of the same session');
    }
    link.session.admit(link.nowMs);
  }

  forget(link: Link): void {
    this.links.delete(link);
    if (link.peerHello === undefined || this.index === 0) return;
    const { id, epoch } = link.peerHello.session;
    this.#registry.remove(id, epoch);
  }

  /** What holds at every step. */
  check(): void {
    const { send, receive } = this.pools;
    let overshoot = 0;
    let exposure = 0;
    for (const link of this.links) {
      exposure += link.monitor.exposure;
      for (const app of link.apps.values()) overshoot += app.chunkBytes;
      const buffered = link.session.bufferedBytes;
      const limit = this.plan.sessionBuffer + overshoot;
      must(buffered <= limit, () => `${link.name}: buffers ${buffered} bytes of ${limit}`);
    }
    must(receive.used >= 0 && send.used >= 0, () => `n${this.index}: a budget below zero`);
    must(
      receive.used <= receive.limit,
      () => `n${this.index}: receive budget ${receive.used} of ${receive.limit}`,
    );
    must(
      exposure <= receive.used,
      () => `n${this.index}: peers may send ${exposure} bytes, ${receive.used} are budgeted`,
    );
    must(
      send.used <= send.limit + overshoot + this.#world.pressureBytes(this.index),
      () => `n${this.index}: send budget ${send.used} of ${send.limit}, overshoot ${overshoot}`,
    );
  }
}
