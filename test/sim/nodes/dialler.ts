import { Greeter } from './greeter.ts';
import { Impostor } from '../network/impostor.ts';
import type { SimNode } from './node.ts';
import type { Process } from './process.ts';
import type { Ending, SimSession } from './sim-session.ts';
import type { World } from '../world.ts';

/** Added to the longest delay before a dial by each failure. */
const BACKOFF_MS = 50;

/** Keeps the lanes of one session up, and begins another session when it has ended. */
export class Dialler {
  readonly #world: World;
  readonly #owner: SimNode;
  readonly #process: Process;
  #session: SimSession | undefined;
  /** What the next session replaces. */
  #givenUp: string | undefined;
  /** Lanes in a row that did not come up. */
  #failures = 0;
  /** Dials that wait for their moment. */
  #pending = 0;
  #stopped = false;

  constructor(world: World, owner: SimNode) {
    this.#world = world;
    this.#owner = owner;
    this.#process = owner.process;
  }

  stop(): void {
    this.#stopped = true;
  }

  laneUp(): void {
    this.#failures = 0;
    this.poke();
  }

  laneFailed(): void {
    this.#failures++;
    this.poke();
  }

  /** Something has changed: dials what is missing, one lane only until the session is established. */
  poke(): void {
    if (this.#stopped || !this.#process.alive) return;
    const { random, plan } = this.#world;
    const wanted = this.#session?.core.established ? plan.dialler.lanes : 1;
    while ((this.#session?.ports.size ?? 0) + this.#pending < wanted) {
      this.#pending++;
      const delayMsMax = Math.max(plan.dialler.redialMsMax, BACKOFF_MS * this.#failures);
      const delayMs = random.chance(0.3) ? 0 : random.skewed(0, delayMsMax);
      this.#owner.after(this.#process, delayMs, () => {
        this.#pending--;
        this.#dial();
        this.poke();
      });
    }
  }

  #dial(): void {
    const { random, plan, healed, partition } = this.#world;
    if (this.#stopped) return;
    const first = !this.#session?.core.established;
    if (first && (this.#session?.ports.size ?? 0) > 0) return;
    const down = !this.#world.nodes[1].process.alive;
    const unlucky = !healed && random.chance(plan.dialler.refusedChance);
    if (down || unlucky || partition === 'refuses') {
      this.#world.note('dial refused');
      return;
    }
    this.#connect(this.#current());
  }

  #current(): SimSession {
    if (this.#session !== undefined && this.#session.closed === undefined) return this.#session;
    if (this.#session?.closed !== undefined) {
      this.#givenUp = this.#toReplace(this.#session, this.#session.closed);
    }
    const replaces = this.#givenUp;
    this.#session = this.#world.newSession(this.#owner, {
      id: this.#world.random.hex(32),
      secret: '',
      ...(replaces !== undefined && { replaces }),
    });
    return this.#session;
  }

  #toReplace(session: SimSession, { code, remote }: Ending): string | undefined {
    // A peer that has said no to a new session does not hold it, but may hold the one before.
    if (session.peerHello === undefined && remote) return this.#givenUp;
    // It may hold either of the two, and only the one before can have streams.
    if (session.peerHello === undefined && this.#givenUp !== undefined) return this.#givenUp;
    return code === 'unknown-session' || code === 'taken-over' ? undefined : session.id;
  }

  #connect(session: SimSession): void {
    const { random, plan, healed, partition, nodes } = this.#world;
    const lane = this.#world.newLane();
    if (partition === 'swallows') lane.stall(Infinity, [0, 1]);
    const { impostorChance } = plan.dialler;
    if (session.core.established && !healed && random.chance(impostorChance)) {
      new Impostor(this.#world, lane);
    } else {
      new Greeter(this.#world, nodes[1], lane, {
        identity: this.#owner.identity,
        refusals: undefined,
      });
    }
    session.dial(lane);
  }
}
