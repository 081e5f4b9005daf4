import { must } from '../failure.ts';
import type { FaultPlan, Which } from './faults.ts';
import type { SimLane } from './lane.ts';
import type { SimNode } from '../nodes/node.ts';
import { sendStray } from './strays.ts';
import type { World } from '../world.ts';

/** Does what the plan says goes wrong, and watches that lanes it has killed are given up. */
export class Saboteur {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  commit(fault: FaultPlan): void {
    this.#world.note(`fault ${JSON.stringify(fault)}`);
    switch (fault.kind) {
      case 'stall':
        for (const lane of this.#lanes(fault.which)) {
          lane.stall(fault.forMs, fault.froms);
          if (fault.forMs === Infinity) this.#expectDeath(lane);
        }
        break;
      case 'cut':
        for (const lane of this.#lanes(fault.which)) {
          lane.cut(fault.noticing, fault.flightLost, 'the path broke');
          this.#expectDeath(lane);
        }
        break;
      case 'ghost':
        for (const lane of this.#lanes(fault.which)) {
          lane.ghost(fault.end, fault.delayMs, 'the path broke');
          this.#expectDeath(lane, fault.delayMs);
        }
        break;
      case 'partition':
        this.#world.part(fault.swallows ? 'swallows' : 'refuses', this.#clipped(fault.forMs));
        for (const lane of this.#lanes('all')) {
          lane.cut(fault.noticing, true, 'the path broke');
          this.#expectDeath(lane);
        }
        break;
      default:
        this.#strikeNode(fault);
    }
  }

  #strikeNode(fault: FaultPlan): void {
    const { nodes } = this.#world;
    switch (fault.kind) {
      case 'freeze':
        // A lane to somebody who stands still is not without fault.
        for (const lane of this.#lanes('all')) lane.faulted = true;
        nodes[fault.on]!.freeze(this.#clipped(fault.forMs), fault.timersFirst);
        break;
      case 'restart':
        this.#restart(nodes[fault.on]!, fault.downMs, fault.silent);
        break;
      case 'pressure':
        this.#squeeze(nodes[fault.on]!, fault.share, this.#clipped(fault.forMs));
        break;
      case 'done':
        this.#closeLane(nodes[fault.by]!, fault.which);
        break;
      case 'stray':
        sendStray(this.#world);
        break;
      case 'drain':
      case 'close':
      case 'offer':
        this.#command(nodes[fault.by]!, fault.kind);
    }
  }

  #command(node: SimNode, kind: 'drain' | 'close' | 'offer'): void {
    const { process } = node;
    node.do(process, () => {
      const session = process.established;
      if (kind === 'drain') session?.drain();
      else if (kind === 'close') session?.close('shutdown', 'planned');
      else session?.offer(this.#world.drawOffer(node.index));
    });
  }

  #closeLane(node: SimNode, which: number): void {
    const { process } = node;
    node.do(process, () => {
      const session = process.established;
      const epochs = [...(session?.ports.keys() ?? [])];
      const epoch = epochs[Math.floor(which * epochs.length)];
      if (epoch !== undefined) session?.closeLane(epoch);
    });
  }

  #restart(node: SimNode, downMs: number, silent: boolean): void {
    for (const lane of this.#lanes('all')) {
      lane.faulted = true;
      if (silent) {
        lane.cut([], false, 'the machine went');
        this.#expectDeath(lane);
      }
    }
    node.restart(downMs);
  }

  /** Other sessions of the process take a share of its budgets for a while. */
  #squeeze(node: SimNode, share: number, forMs: number): void {
    const { process } = node;
    const bytes = Math.floor(share * process.pools.send.limit);
    const { send, receive } = process.others();
    const received = receive.tryTake(bytes) ? bytes : 0;
    send.take(bytes);
    process.pressureBytes += bytes;
    this.#world.clock.after(forMs, () => {
      send.release(bytes);
      receive.release(received);
      send.close();
      receive.close();
      process.pressureBytes -= bytes;
    });
  }

  /** Lanes that somebody still uses, oldest first. */
  #lanes(which: Which): readonly SimLane[] {
    const lanes = new Set<SimLane>();
    for (const { process } of this.#world.nodes) {
      for (const { ports } of process.sessions) {
        for (const { lane } of ports.values()) lanes.add(lane);
      }
      for (const { lane } of process.greeters) lanes.add(lane);
    }
    const list = [...lanes].sort((a, b) => a.number - b.number);
    return which === 'all' ? list : list.slice(Math.floor(which * list.length)).slice(0, 1);
  }

  /** A lane that swallows everything is given up by both ends in time. */
  #expectDeath(lane: SimLane, lateMs = 0): void {
    const { clock, plan, nodes } = this.#world;
    const { heartbeatIntervalMs, heartbeatMisses, handshakeTimeoutMs } = plan;
    const { latencyMs, jitterMs } = lane.plan;
    const deadAfterMs = heartbeatIntervalMs * heartbeatMisses;
    const underWayMs = 2 * (latencyMs + jitterMs) + deadAfterMs / 4 + plan.admitDelayMs;
    const waitMs = 1.001 * (handshakeTimeoutMs + 2 * deadAfterMs) + underWayMs + lateMs + 1_000;
    const since = clock.nowMs;
    clock.after(waitMs, () => {
      for (const node of nodes) {
        if (node.stoodStillSince(since)) continue;
        for (const { name, ports } of node.process.sessions) {
          for (const port of ports.values()) {
            must(port.lane !== lane, () => `${name}: lane ${port.epoch} is dead, and still here`);
          }
        }
      }
    });
  }

  #clipped(forMs: number): number {
    return Math.max(0, Math.min(forMs, this.#world.plan.faultPhaseMs - this.#world.clock.nowMs));
  }
}
