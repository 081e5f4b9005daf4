import type { Identity } from '../../../packages/proto/src/base/identity.ts';
import type { Refusal } from '../../../packages/proto/src/session/lanes/handshake.ts';
import { PendingHandshake } from '../../../packages/proto/src/session/lanes/pending-handshake.ts';
import type { LaneCode } from '../../../packages/proto/src/wire/codes.ts';
import type { Hello } from '../../../packages/proto/src/wire/payload.ts';
import type { Task } from '../clock.ts';
import { must } from '../failure.ts';
import type { LaneEnd, SimLane } from '../network/lane.ts';
import type { SimNode } from './node.ts';
import type { Process } from './process.ts';
import { proveOn } from '../proof.ts';
import type { SimSession } from './sim-session.ts';
import type { World } from '../world.ts';

/** Who comes on an accepted lane. */
export interface Caller {
  readonly identity: Identity;
  /** Must be refused with one of these, and nothing may change; undefined: an honest dialler. */
  readonly refusals: readonly LaneCode[] | undefined;
}

/** An accepted lane until its HELLO has told whose session it joins, as a node would decide it. */
export class Greeter {
  readonly lane: SimLane;
  readonly #world: World;
  readonly #owner: SimNode;
  readonly #process: Process;
  readonly #caller: Caller;
  readonly #end: LaneEnd;
  readonly #greeting: PendingHandshake;
  readonly #timer: Task;
  #asked = false;
  #over = false;

  constructor(world: World, owner: SimNode, lane: SimLane, caller: Caller) {
    this.#world = world;
    this.#owner = owner;
    this.#process = owner.process;
    this.#caller = caller;
    this.lane = lane;
    this.#end = lane.ends[1];
    const options = owner.handshakeOptions(caller.identity);
    this.#greeting = new PendingHandshake(options, owner.nowMs, owner.wallOffsetMs);
    this.#process.greeters.add(this);
    const deadlineMs = owner.virtualMs(this.#greeting.deadlineMs);
    this.#timer = owner.at(this.#process, deadlineMs, () => {
      this.#greeting.handleTimeout(owner.nowMs);
      this.#react();
    });
    this.#end.bind({
      onBytes: (bytes) => this.take(bytes),
      onRoom: () => {},
      onClosed: () => this.#do(() => this.#finish()),
    });
  }

  /** The process is gone. */
  die(): void {
    this.#end.destroy();
    this.#finish();
  }

  /** Bytes of the dialler. */
  take(bytes: Uint8Array): void {
    this.#do(() => this.#bytes(bytes));
  }

  #do(run: () => void): void {
    this.#owner.do(this.#process, () => {
      if (!this.#over) run();
    });
  }

  #bytes(bytes: Uint8Array): void {
    this.#greeting.handleBytes(this.#owner.nowMs, bytes);
    const { hello } = this.#greeting;
    if (hello === undefined || this.#asked) {
      this.#react();
      return;
    }
    this.#asked = true;
    const { plan, healed } = this.#world;
    if (plan.admitDelayMs === 0 || healed) this.#answer(hello);
    else this.#owner.after(this.#process, plan.admitDelayMs, () => this.#answer(hello));
  }

  #answer(hello: Hello): void {
    if (this.#over || this.#greeting.closed !== undefined) return;
    const before = this.#fingerprint();
    const refusal = this.#route(hello);
    if (refusal === undefined) {
      must(this.#caller.refusals === undefined, () => `${this.#who}: let in`);
      return;
    }
    this.#judge(hello, refusal, before);
    this.#greeting.refuse(this.#owner.nowMs, refusal.code, refusal.reason);
    this.#react();
  }

  /** Hands the lane to the session its HELLO names, or says why not. */
  #route(hello: Hello): Refusal | undefined {
    const { id, proof, replaces } = hello.session;
    const known = this.#process.session(id);
    const prove = proveOn(this.lane, id);
    const peer = `${this.#caller.identity.site}/${this.#caller.identity.node}`;
    if (known === undefined && proof !== undefined) {
      return { code: 'unknown-session', reason: `no session ${id} lives here` };
    }
    const { site, node } = this.#owner.peerIdentity;
    if (known !== undefined && peer === `${site}/${node}`) {
      const refusal = known.core.judge(hello, prove);
      if (refusal !== undefined) return refusal;
    }
    if (this.#greeting.early) {
      return { code: 'protocol-error', reason: 'frames before the answer to HELLO' };
    }
    if (this.#unwelcome) return { code: 'not-authorized', reason: 'not today' };
    const { instance } = hello;
    const admission = this.#process.registry.admit({ peer, instance, sessionId: id, replaces });
    if (!admission.ok) return admission;
    const displaced = [...this.#process.sessions].filter((each) =>
      admission.displaced.includes(each.id),
    );
    for (const other of displaced) {
      other.displacedBy = id;
      other.close('taken-over', 'another session in its place');
    }
    must(admission.existing === (known !== undefined), () => `${this.#who}: registry astray`);
    this.#finish();
    const session = known ?? this.#newSession(id);
    session.admit(this.lane, hello, prove);
    return undefined;
  }

  #newSession(id: string): SimSession {
    const secret = this.#world.random.hex(64);
    return this.#world.newSession(this.#owner, { id, secret });
  }

  get #unwelcome(): boolean {
    const { plan, healed, random } = this.#world;
    if (healed || this.#caller.refusals !== undefined) return false;
    return random.chance(plan.admitRefusedChance);
  }

  /** Refusals that an honest dialler may meet, and what a stray one must. */
  #judge(hello: Hello, refusal: Refusal, before: string): void {
    const { code, reason } = refusal;
    this.#world.note(`${this.#who} refused: ${code}: ${reason}`);
    must(this.#fingerprint() === before, () => `${this.#who}: refused, and changed the session`);
    if (this.#caller.refusals !== undefined) {
      must(this.#caller.refusals.includes(code), () => `${this.#who}: refused with ${code}`);
      return;
    }
    const { id, epoch } = hello.session;
    const dialler = this.#world.ends(id)[0];
    const givenUp = !dialler?.process.alive || !dialler.ports.has(epoch);
    // A dialler that gives up says so behind its HELLO, and a part of that may be there already.
    const early = code === 'protocol-error' && givenUp;
    const stale = code === 'stale-epoch' && (givenUp || this.#heldByTheDead);
    const fair = code === 'unknown-session' || reason === 'not today' || early || stale;
    must(fair, () => `${this.#who}: an honest dialler is refused: ${code}: ${reason}`);
  }

  /**
   * A HELLO of a process that is gone came later than its successor's, and passed for a newer one:
   * so it stays until its session is given up.
   */
  get #heldByTheDead(): boolean {
    return [...this.#process.sessions].some(({ id }) => !this.#world.ends(id)[0]?.process.alive);
  }

  /** What a stray lane could disturb. */
  #fingerprint(): string {
    const parts = [...this.#process.sessions].map(({ id, core }) => {
      const { laneCount, streamCount, suspended, established } = core;
      const lanes = core.lanes().map(({ lane }) => lane);
      return { id, laneCount, streamCount, suspended, established, lanes };
    });
    return JSON.stringify(parts);
  }

  #react(): void {
    const { closed } = this.#greeting;
    if (closed === undefined || this.#over) return;
    if (this.#caller.refusals === undefined && !this.#asked) {
      must(closed.code !== 'protocol-error', () => `${this.#who}: ${closed.reason}`);
    }
    this.#end.write(this.#greeting.pollTransmit() ?? []);
    this.#end.end();
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#timer.cancelled = true;
    this.#process.greeters.delete(this);
  }

  get #who(): string {
    return `${this.#process.name} lane ${this.lane.number}`;
  }
}
