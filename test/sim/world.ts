import { Session } from '../../src/session/session.ts';
import { Clock } from './clock.ts';
import { Conversation } from './conversation.ts';
import { must, SimFailure } from './failure.ts';
import { SimLane } from './lane.ts';
import { Link } from './link.ts';
import { SimNode } from './node.ts';
import { drawPlan, type FaultPlan, type Plan } from './plan.ts';
import { Random } from './random.ts';
import { Trace } from './trace.ts';

/** Virtual time within which everything settles once the faults are over. */
const SETTLE_MS_MAX = 300_000;

/** More steps than any run needs: one that goes in circles ends here. */
const STEPS_MAX = 2_000_000;

export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  readonly steps: number;
  readonly virtualMs: number;
  readonly lanes: number;
  readonly conversations: number;
  readonly finished: number;
  readonly bytes: number;
}

/** Two nodes, the lanes between them, and everything that goes wrong. One seed determines all. */
export class World {
  readonly plan: Plan;
  readonly clock = new Clock();
  readonly random: Random;
  /** The faults are over. */
  healed = false;
  readonly #seed: number;
  readonly #trace: Trace;
  readonly #nodes: readonly [SimNode, SimNode];
  readonly #conversations: Conversation[] = [];
  readonly #pressure = [0, 0];
  #lanes = 0;
  #sessionId: string;
  #epoch = 0;
  #steps = 0;
  #dialing = false;
  #over = false;

  constructor(seed: number, onLine?: (line: string) => void) {
    this.#seed = seed;
    this.#trace = new Trace(onLine);
    this.plan = drawPlan(new Random(seed, 1));
    this.random = new Random(seed, 2);
    this.#sessionId = this.random.hex(32);
    this.#nodes = [
      new SimNode(this, 0, this.plan.nodes[0], this.random.hex(32)),
      new SimNode(this, 1, this.plan.nodes[1], this.random.hex(32)),
    ];
  }

  /** Throws a SimFailure as soon as an invariant does not hold. */
  run(): RunResult {
    this.note(`plan ${JSON.stringify(this.plan)}`);
    this.#schedule();
    this.#runUntil(this.plan.faultPhaseMs, () => false);
    this.#heal();
    this.#settle(() => this.#conversations.every((each) => each.settled), 'everything settled');
    this.#freshSession();
    this.#finalConversations();
    this.#shutdown();
    return {
      seed: this.#seed,
      hash: this.#trace.hash,
      steps: this.#steps,
      virtualMs: Math.round(this.clock.nowMs),
      lanes: this.#lanes,
      conversations: this.#conversations.length,
      finished: this.#conversations.filter((each) => each.finished).length,
      bytes: this.#conversations.reduce(
        (sum, { ends }) => sum + ends[0].received + ends[1].received,
        0,
      ),
    };
  }

  note(line: string): void {
    this.#trace.add(`${this.clock.nowMs.toFixed(3)} ${line}`);
  }

  /** The conversation an OPEN names. */
  conversation(service: string): Conversation {
    const found = this.#conversations[Number(service.slice(1))];
    must(found !== undefined, () => `an OPEN for ${service}, which nobody planned`);
    return found;
  }

  pressureBytes(node: number): number {
    return this.#pressure[node]!;
  }

  /** Both ends of an established lane hold the same opinion of what was agreed. */
  established(link: Link): void {
    must(
      !this.plan.settingsDiffer || this.healed,
      () => `${link.name}: established in spite of different settings`,
    );
    const { peer, peerHello } = link;
    if (peer?.peerHello === undefined || peerHello === undefined) return;
    const [mine, theirs] = [peerHello, peer.peerHello];
    must(
      mine.session.id === theirs.session.id && mine.session.epoch === theirs.session.epoch,
      () => `${link.name}: the ends disagree on the session`,
    );
    must(
      JSON.stringify(mine.settings) === JSON.stringify(theirs.settings),
      () => `${link.name}: the ends disagree on the settings`,
    );
    for (const each of [link, peer]) {
      // Long ones too, which do not fit the block that small frames are gathered in.
      const count = this.random.skewed(0, 2_000);
      each.offered = Array.from({ length: count }, (_, i) => `s${i}-${each.node}`);
      each.session.offer(each.offered);
    }
  }

  /** A measured clock offset is off by at most half of the RTT it came with. */
  checkClock(link: Link, sample: { readonly rttMs: number; readonly clockOffsetMs: number }): void {
    const truth = this.#nodes[link.node === 0 ? 1 : 0].wallMs - link.owner.wallMs;
    const error = Math.abs(sample.clockOffsetMs - truth);
    // Microseconds on the wire, and clocks that drift while a frame is under way.
    const bound = sample.rttMs / 2 + 0.01 + 0.002 * (sample.rttMs + this.plan.heartbeatIntervalMs);
    must(
      error <= bound,
      () => `${link.name}: clock offset wrong by ${error} ms, RTT ${sample.rttMs}`,
    );
    const least = 2 * this.plan.lane.latencyMs * 0.999 - 0.01;
    must(sample.rttMs >= least, () => `${link.name}: RTT ${sample.rttMs} below ${least}`);
  }

  linkClosed(link: Link): void {
    const { code, reason } = link.closed!;
    const refused = this.plan.settingsDiffer && !this.healed;
    const allowed = link.lane.faulted || refused;
    must(
      code !== 'protocol-error' && code !== 'internal' && code !== 'overload',
      () => `${link.name}: ${code}: ${reason}`,
    );
    must(
      allowed ||
        (code !== 'heartbeat-timeout' && code !== 'lane-lost') ||
        link.peer?.closed !== undefined,
      () => `${link.name}: ${code} on a lane without fault`,
    );
    must(link.session.pollTimeout() === undefined, () => `${link.name}: a timer after the end`);
    if (code === 'settings-mismatch') checkSettingsReason(link.name, reason);
    link.owner.forget(link);
    if (link.node === 0) this.#dialLater();
  }

  #schedule(): void {
    this.plan.conversations.forEach((plan) => {
      const conversation = new Conversation(this.#conversations.length, plan);
      this.#conversations.push(conversation);
      this.clock.at(plan.openAtMs, () => this.#open(conversation));
    });
    for (const fault of this.plan.faults) this.clock.at(fault.atMs, () => this.#fault(fault));
    this.#dialLater();
  }

  #open(conversation: Conversation): void {
    const link = this.#establishedLink(conversation.plan.opener);
    if (link === undefined) conversation.opened = false;
    else link.open(conversation);
  }

  #establishedLink(node: number): Link | undefined {
    return [...this.#nodes[node]!.links].find((link) => link.session.established);
  }

  #fault(fault: FaultPlan): void {
    this.note(`fault ${JSON.stringify(fault)}`);
    const links = [...this.#nodes[0].links, ...this.#nodes[1].links];
    const lane = links[0]?.lane;
    switch (fault.kind) {
      case 'stall':
        lane?.stall(fault.forMs, fault.froms);
        if (fault.forMs === Infinity && lane !== undefined) this.#expectDeath(lane);
        break;
      case 'cut':
        lane?.cut(fault.noticing, 'the path broke');
        if (lane !== undefined) this.#expectDeath(lane);
        break;
      case 'drain':
        this.#establishedLink(fault.by)?.session.drain();
        this.#establishedLink(fault.by)?.pump();
        break;
      case 'close':
        this.#establishedLink(fault.by)?.close('shutdown', 'planned');
        break;
      case 'pressure':
        this.#squeeze(fault.on, fault.share, fault.forMs);
    }
  }

  /** Other sessions of the process take a share of its budgets for a while. */
  #squeeze(node: number, share: number, forMs: number): void {
    const { send, receive } = this.#nodes[node]!.pools;
    const bytes = Math.floor(share * send.limit);
    const received = receive.tryTake(bytes) ? bytes : 0;
    send.take(bytes);
    this.#pressure[node]! += bytes;
    this.clock.at(Math.min(this.clock.nowMs + forMs, this.plan.faultPhaseMs), () => {
      send.release(bytes);
      receive.release(received);
      this.#pressure[node]! -= bytes;
    });
  }

  /** A lane that swallows everything is given up by both ends in time, or was already. */
  #expectDeath(lane: SimLane): void {
    const { heartbeatIntervalMs, heartbeatMisses, handshakeTimeoutMs, lane: path } = this.plan;
    const deadAfterMs = heartbeatIntervalMs * heartbeatMisses;
    const underWayMs = 2 * (path.latencyMs + path.jitterMs) + deadAfterMs / 4;
    const links = [...this.#nodes[0].links, ...this.#nodes[1].links].filter(
      (each) => each.lane === lane,
    );
    const waitMs = links.every((link) => link.session.established)
      ? deadAfterMs
      : handshakeTimeoutMs + deadAfterMs;
    this.clock.after(1.001 * waitMs + underWayMs + 1_000, () => {
      for (const link of links) {
        must(link.closed !== undefined, () => `${link.name}: alive on a lane that is dead`);
      }
    });
  }

  #dialLater(): void {
    if (this.#dialing || this.#over) return;
    this.#dialing = true;
    const delayMs = this.#lanes === 0 ? 0 : this.random.skewed(0, 500);
    this.clock.after(delayMs, () => {
      this.#dialing = false;
      this.#dial();
    });
  }

  #dial(): void {
    if (this.#over || this.#nodes[0].links.size > 0) return;
    if (!this.healed && this.random.chance(this.plan.dialRefusedChance)) {
      this.note('dial refused');
      this.#dialLater();
      return;
    }
    if (!this.plan.keepsSessionId && this.#epoch > 0) {
      this.#sessionId = this.random.hex(32);
      this.#epoch = 0;
    }
    this.#epoch++;
    this.#connect();
  }

  #connect(): void {
    const lane = new SimLane(this.clock, this.random, this.plan.lane);
    const number = this.#lanes++;
    this.note(`lane ${number}: session ${this.#sessionId} epoch ${this.#epoch}`);
    const links = this.#nodes.map((node) => {
      const settings = this.#settings(node.index);
      const options = {
        ...node.options(this.#sessionId, this.#epoch, settings),
        pauseWriters: () => {
          for (const app of link.apps.values()) app.pause();
        },
      };
      const session = new Session(options, node.nowMs, node.wallOffsetMs);
      const link: Link = new Link(this, node, lane, `n${node.index}.${number}`, session);
      node.links.add(link);
      return link;
    });
    links[0]!.peer = links[1]!;
    links[1]!.peer = links[0]!;
    for (const link of links) link.pump();
  }

  #settings(node: number): Record<string, string> {
    const differs = this.plan.settingsDiffer && !this.healed && node === 1;
    return { heartbeat_interval: differs ? '3s' : '5s', resume_time: '60s' };
  }

  #heal(): void {
    this.note('healed');
    this.healed = true;
    for (const node of this.#nodes) {
      for (const link of [...node.links]) {
        for (const app of [...link.apps.values()]) app.heal();
        link.pump();
      }
    }
  }

  /** A new session, on a lane that no fault has touched. */
  #freshSession(): void {
    this.#establishedLink(this.random.int(0, 1))?.close('shutdown', 'a fresh start');
    this.#settle(() => {
      const links = [this.#establishedLink(0), this.#establishedLink(1)];
      // One that was under way when the faults ended may come up late, on a path half broken.
      for (const link of links) if (link?.lane.faulted) link.close('shutdown', 'a faulty lane');
      const alone = this.#nodes.every((node) => node.links.size === 1);
      return alone && links.every((link) => link?.session.established);
    }, 'a fresh session');
  }

  /** Without faults a conversation ends cleanly, and a PING is answered. */
  #finalConversations(): void {
    for (const opener of [0, 1] as const) {
      const link = this.#establishedLink(opener)!;
      link.pings.add(link.session.ping(link.nowMs));
      const app = { ...this.plan.conversations[0]!.apps[0], resetAfterMs: undefined };
      const conversation = new Conversation(this.#conversations.length, {
        opener,
        openAtMs: 0,
        answer: 'accept',
        answerAfterMs: this.random.int(0, 10),
        deliversEarly: false,
        apps: [app, { ...app, endsAfterPeer: true }],
      });
      this.#conversations.push(conversation);
      link.open(conversation);
      this.#settle(() => conversation.settled && link.pings.size === 0, 'the last conversations');
      must(
        conversation.finished,
        () => `${conversation.name(opener)}: no fault, and yet not finished`,
      );
      const { offered } = link.peer!;
      must(
        link.offers.join() === offered.join(),
        () => `${link.name}: offers ${link.offers}, sent ${offered}`,
      );
    }
  }

  /** After the end nothing is left: no timer, no stream, no byte in a budget. */
  #shutdown(): void {
    this.#over = true;
    this.#establishedLink(this.random.int(0, 1))?.close('shutdown', 'the end');
    this.#settle(() => this.clock.pending === 0, 'the end');
    for (const node of this.#nodes) {
      must(node.links.size === 0, () => `n${node.index}: ${node.links.size} links are left`);
      const { send, receive } = node.pools;
      must(
        send.used === 0 && receive.used === 0,
        () => `n${node.index}: ${send.used}+${receive.used} bytes are left`,
      );
    }
    for (const conversation of this.#conversations) checkOutcomes(conversation);
  }

  #settle(done: () => boolean, what: string): void {
    const deadlineMs = this.clock.nowMs + SETTLE_MS_MAX;
    must(
      this.#runUntil(deadlineMs, done),
      () => `not within ${SETTLE_MS_MAX} ms: ${what}${this.#unsettled()}`,
    );
  }

  #unsettled(): string {
    const left = this.#conversations.filter((each) => !each.settled);
    return left.map((each) => `; c${each.id} ${JSON.stringify(each.ends)}`).join('');
  }

  /** Runs step by step; true when `done` was, false when time ran out. */
  #runUntil(untilMs: number, done: () => boolean): boolean {
    while (!done()) {
      if (!this.clock.step(untilMs)) return done();
      this.#steps++;
      must(this.#steps < STEPS_MAX, () => `more than ${STEPS_MAX} steps`);
      for (const node of this.#nodes) node.check();
    }
    return true;
  }
}

/** Runs one seed; whatever goes wrong comes out as a SimFailure. */
export function runSeed(seed: number, onLine?: (line: string) => void): RunResult {
  try {
    return new World(seed, onLine).run();
  } catch (error) {
    if (error instanceof SimFailure) throw error;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new SimFailure(`an exception: ${text}`);
  }
}

/** Both values and both ends are named. */
function checkSettingsReason(name: string, reason: string): void {
  const named = ['heartbeat_interval', '5s', '3s'].every((word) => reason.includes(word));
  must(named, () => `${name}: the refusal names too little: ${reason}`);
}

/** Outcomes of the two ends that can go together. */
function checkOutcomes(conversation: Conversation): void {
  const [first, second] = conversation.ends.map((end) => end.outcome);
  if (first === undefined || second === undefined) return;
  const lost = [first, second].some(
    (each) => each.kind === 'reset' && each.code === 'session-lost',
  );
  const gaveUp = [first, second].some((each) => each.kind === 'gave-up');
  const clean = conversation.finished;
  must(
    lost || gaveUp || clean,
    () => `c${conversation.id}: ended ${first.kind} and ${second.kind}`,
  );
}
