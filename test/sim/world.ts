import { Clock } from './clock.ts';
import { Conversation } from './apps/conversation.ts';
import { Dialler } from './nodes/dialler.ts';
import { must, SimFailure } from './failure.ts';
import { Judge } from './invariants/judge.ts';
import { SimLane } from './network/lane.ts';
import { SimNode } from './nodes/node.ts';
import { drawPlan, type Plan } from './plan.ts';
import { Random } from './random.ts';
import { Saboteur } from './network/saboteur.ts';
import { type SessionStart, SimSession } from './nodes/sim-session.ts';
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
  readonly sessions: number;
  /** Sessions that came back after a time without any lane, counted at the dialler. */
  readonly resumed: number;
  readonly conversations: number;
  readonly finished: number;
  readonly bytes: number;
  readonly replayedBytes: number;
}

/** Both ends of a session, by node. */
export type Ends = [SimSession | undefined, SimSession | undefined];

/** Two nodes, the lanes between them, and everything that goes wrong. One seed determines all. */
export class World {
  readonly plan: Plan;
  readonly clock = new Clock();
  readonly random: Random;
  readonly judge: Judge;
  readonly nodes: readonly [SimNode, SimNode];
  /** The faults are over. */
  healed = false;
  /** What becomes of a dial while the path is parted; undefined while it is not. */
  partition: 'refuses' | 'swallows' | undefined;
  readonly #seed: number;
  readonly #trace: Trace;
  readonly #saboteur: Saboteur;
  readonly #conversations: Conversation[] = [];
  /** By id, all there ever were. */
  readonly #sessions = new Map<string, Ends>();
  #dialler: Dialler;
  #partedUntilMs = 0;
  #lanes = 0;
  #steps = 0;

  constructor(seed: number, onLine?: (line: string) => void) {
    this.#seed = seed;
    this.#trace = new Trace(onLine);
    this.plan = drawPlan(new Random(seed, 1));
    this.random = new Random(seed, 2);
    this.judge = new Judge(this);
    this.#saboteur = new Saboteur(this);
    this.nodes = [
      new SimNode(this, 0, this.plan.nodes[0]),
      new SimNode(this, 1, this.plan.nodes[1]),
    ];
    this.#dialler = new Dialler(this, this.nodes[0]);
  }

  /** Throws a SimFailure as soon as an invariant does not hold. */
  run(): RunResult {
    this.note(`plan ${JSON.stringify(this.plan)}`);
    this.#schedule();
    this.#runUntil(this.plan.faultPhaseMs, () => false);
    this.#heal();
    this.#settle(() => this.#conversations.every((each) => each.settled), 'everything settled');
    this.#settle(() => this.#quiet, 'a session at rest');
    this.#checkRest();
    this.#freshSession();
    this.#finalConversations();
    this.#checkForgotten();
    this.#shutdown();
    return this.#result();
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

  settings(node: number): Record<string, string> {
    const differs = this.plan.settingsDiffer && !this.healed && node === 1;
    return { heartbeat_interval: differs ? '3s' : '5s', resume_time: '60s' };
  }

  drawOffer(node: number): string[] {
    // Long ones too, which do not fit the block that small frames are gathered in.
    const count = this.random.skewed(0, 2_000);
    return Array.from({ length: count }, (_, i) => `s${i}-${node}`);
  }

  newLane(): SimLane {
    const number = this.#lanes++;
    const plan = this.plan.lanes[number % this.plan.lanes.length]!;
    const lane = new SimLane(this.clock, this.random, number, plan);
    const { nowMs } = this.clock;
    lane.faulted = this.nodes.some((node) => node.stoodStillSince(nowMs));
    return lane;
  }

  newSession(owner: SimNode, start: SessionStart): SimSession {
    const ends = this.#sessions.get(start.id) ?? [undefined, undefined];
    this.#sessions.set(start.id, ends);
    const session = new SimSession(this, owner, `n${owner.index}.${start.id.slice(0, 4)}`, start);
    must(ends[owner.index] === undefined, () => `${session.name}: began twice`);
    ends[owner.index] = session;
    return session;
  }

  ends(sessionId: string): Ends {
    return this.#sessions.get(sessionId)!;
  }

  part(how: 'refuses' | 'swallows', forMs: number): void {
    this.partition = how;
    this.#partedUntilMs = Math.max(this.#partedUntilMs, this.clock.nowMs + forMs);
    this.clock.at(this.#partedUntilMs, () => {
      if (this.clock.nowMs >= this.#partedUntilMs) this.partition = undefined;
    });
  }

  /** Both ends of a session hold the same opinion of what was agreed. */
  established(session: SimSession): void {
    must(
      !this.plan.settingsDiffer || this.healed,
      () => `${session.name}: established in spite of different settings`,
    );
    session.offer(this.drawOffer(session.node));
    const [mine, theirs] = this.ends(session.id).map((end) => end?.peerHello);
    if (mine === undefined || theirs === undefined) return;
    must(
      mine.session.epoch === theirs.session.epoch && mine.session.id === session.id,
      () => `${session.name}: the ends disagree on the session`,
    );
    must(
      JSON.stringify(mine.settings) === JSON.stringify(theirs.settings),
      () => `${session.name}: the ends disagree on the settings`,
    );
  }

  laneUp(session: SimSession): void {
    if (session.node === 0) this.#dialler.laneUp();
  }

  laneClosed(session: SimSession, wasUp: boolean): void {
    if (session.node !== 0) return;
    if (wasUp) this.#dialler.poke();
    else this.#dialler.laneFailed();
  }

  sessionClosed(session: SimSession): void {
    if (session.node === 0) this.#dialler.poke();
    else session.process.registry.remove(session.id);
  }

  /** A node is back after a restart. */
  started(node: SimNode): void {
    this.note(`n${node.index} is back`);
    if (node.index !== 0) return;
    this.#dialler = new Dialler(this, node);
    this.#dialler.poke();
  }

  #schedule(): void {
    this.plan.conversations.forEach((plan) => {
      const conversation = new Conversation(this.#conversations.length, plan);
      this.#conversations.push(conversation);
      this.clock.at(plan.openAtMs, () => this.#open(conversation));
    });
    for (const fault of this.plan.faults) {
      this.clock.at(fault.atMs, () => this.#saboteur.commit(fault));
    }
    this.#dialler.poke();
  }

  #open(conversation: Conversation): void {
    const node = this.nodes[conversation.plan.opener];
    const { process } = node;
    conversation.opened = false;
    node.do(process, () => process.established?.open(conversation));
  }

  #heal(): void {
    this.note('healed');
    this.healed = true;
    for (const { process } of this.nodes) {
      for (const session of [...process.sessions]) {
        for (const app of [...session.apps.values()]) app.heal();
        session.pump();
      }
    }
  }

  /** One session, the same at both ends, with all its lanes up. */
  get #quiet(): boolean {
    const [first, second] = this.nodes.map(({ process }) => [...process.sessions]);
    if (first?.length !== 1 || second?.length !== 1) return false;
    const sessions = [first[0]!, second[0]!];
    if (sessions[0]!.id !== sessions[1]!.id) return false;
    return sessions.every((session, index) => this.#atRest(session, sessions[1 - index]!));
  }

  /** All lanes are up, no stream is left, and the peer has heard what this end had to say. */
  #atRest({ core, ports, offered, drained }: SimSession, peer: SimSession): boolean {
    return (
      core.established &&
      core.laneCount === this.plan.dialler.lanes &&
      core.streamCount === 0 &&
      [...ports.values()].every(({ up, lane }) => up && !lane.left.includes(true)) &&
      peer.offers.join() === offered.join() &&
      peer.core.peerDraining === drained
    );
  }

  /** A session without streams holds nothing. */
  #checkRest(): void {
    const sessions = this.nodes.map(({ process }) => process.established!);
    for (const session of sessions) {
      const { name, core } = session;
      const held = Object.values(core.memory()).some((bytes) => bytes > 0);
      must(
        !held && core.bufferedBytes === 0,
        () => `${name}: holds ${JSON.stringify(core.memory())}`,
      );
      const { send, receive } = session.process.pools;
      must(
        send.used === 0 && receive.used === 0,
        () => `${name}: ${send.used}+${receive.used} bytes are left`,
      );
      must(!core.suspended, () => `${name}: has lanes, and says it is suspended`);
      must(
        !session.monitor.intact || core.totals.bytesReplayed === 0,
        () => `${name}: replayed ${core.totals.bytesReplayed} bytes, no lane was lost`,
      );
    }
  }

  /** A new session, on lanes that no fault has touched. */
  #freshSession(): void {
    this.nodes[this.random.int(0, 1)]!.process.established?.close('shutdown', 'a fresh start');
    this.#settle(() => {
      for (const { process } of this.nodes) {
        for (const session of process.sessions) {
          for (const { epoch, lane, up } of [...session.ports.values()]) {
            // One that was under way when the faults ended may come up late, on a path half broken.
            if (lane.faulted && up) session.closeLane(epoch);
          }
        }
      }
      return this.#quiet;
    }, 'a fresh session');
  }

  /** Without faults a conversation ends cleanly, and a PING is answered. */
  #finalConversations(): void {
    for (const opener of [0, 1] as const) {
      const session = this.nodes[opener].process.established!;
      session.pings.add(session.core.ping(session.nowMs));
      const app = {
        ...this.plan.conversations[0]!.apps[0],
        resetsAtEnd: 'no',
        resetAfterMs: undefined,
      } as const;
      const conversation = new Conversation(this.#conversations.length, {
        opener,
        openAtMs: 0,
        answer: 'accept',
        answerAfterMs: this.random.int(0, 10),
        deliversEarly: false,
        apps: [app, { ...app, endsAfterPeer: true }],
      });
      this.#conversations.push(conversation);
      session.open(conversation);
      const over = () => conversation.settled && session.pings.size === 0;
      this.#settle(over, 'the last conversations');
      must(
        conversation.finished,
        () => `${conversation.name(opener)}: no fault, and yet not finished`,
      );
    }
    this.#settle(() => this.#quiet, 'rest after the last conversations');
    this.#checkRest();
  }

  /** Once heartbeats have told each end that the other heard of the ends of streams, none is kept. */
  #checkForgotten(): void {
    const { heartbeatIntervalMs, lanes } = this.plan;
    const underWayMs = Math.max(...lanes.map((lane) => lane.latencyMs + lane.jitterMs));
    const untilMs = this.clock.nowMs + 3 * (heartbeatIntervalMs + 2 * underWayMs) + 100;
    this.#runUntil(untilMs, () => false);
    if (this.plan.resumeTimeMs < 10_000) return;
    for (const port of this.nodes[0].process.established!.ports.values()) {
      port.lane.cut([0, 1], false, 'one more time');
    }
    this.#settle(() => this.#quiet, 'a session resumed at rest');
    for (const { process } of this.nodes) {
      const { name, monitor } = process.established!;
      const said = monitor.recordsSent;
      must(said === 0, () => `${name}: RESUME speaks of ${said} streams, there is none`);
    }
  }

  /** After the end nothing is left: no timer, no stream, no byte in a budget. */
  #shutdown(): void {
    this.#dialler.stop();
    const closer = this.nodes[this.random.int(0, 1)]!;
    closer.process.established?.close('shutdown', 'the end');
    this.#settle(() => this.clock.pending === 0, 'the end');
    for (const { process } of this.nodes) process.checkEmpty();
    for (const conversation of this.#conversations) conversation.checkOutcomes();
  }

  #result(): RunResult {
    const sessions = [...this.#sessions.values()];
    const sum = (figure: (session: SimSession) => number) =>
      sessions.flat().reduce((total, session) => total + (session ? figure(session) : 0), 0);
    return {
      seed: this.#seed,
      hash: this.#trace.hash,
      steps: this.#steps,
      virtualMs: Math.round(this.clock.nowMs),
      lanes: this.#lanes,
      sessions: sessions.length,
      resumed: sum(({ node, resumes }) => (node === 0 ? resumes : 0)),
      conversations: this.#conversations.length,
      finished: this.#conversations.filter((each) => each.finished).length,
      bytes: this.#conversations.reduce(
        (total, { ends }) => total + ends[0].received + ends[1].received,
        0,
      ),
      replayedBytes: sum(({ core }) => core.totals.bytesReplayed),
    };
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
    const sessions = this.nodes.flatMap(({ process }) => [...process.sessions]);
    return [
      ...left.map((each) => `; c${each.id} ${JSON.stringify(each.ends)}`),
      ...sessions.map(
        ({ name, core }) => `; ${name} ${core.laneCount} lanes, ${core.streamCount} streams`,
      ),
    ].join('');
  }

  /** Runs step by step; true when `done` was, false when time ran out. */
  #runUntil(untilMs: number, done: () => boolean): boolean {
    while (!done()) {
      if (!this.clock.step(untilMs)) return done();
      this.#steps++;
      must(this.#steps < STEPS_MAX, () => `more than ${STEPS_MAX} steps`);
      for (const { process } of this.nodes) process.check();
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
