import type { StreamCode } from '../../../packages/proto/src/wire/codes.ts';
import { must } from '../failure.ts';
import type { ConversationPlan } from '../plan.ts';

/**
 * How a conversation ended for one of its ends. `finished`: both directions, cleanly; `reset`: the
 * peer, or the end of the session, took the stream away; `gave-up`: this end reset it; `died`: the
 * end's process went.
 */
export type Outcome =
  | { readonly kind: 'finished' | 'died' }
  | { readonly kind: 'reset' | 'gave-up'; readonly code: StreamCode };

/** What one end of a conversation has done so far. Both ends' are visible to the invariants. */
export class End {
  written = 0;
  ended = false;
  received = 0;
  delivered = 0;
  finDelivered = false;
  /** Whether the session knows the stream at this end. */
  attached = false;
  outcome: Outcome | undefined;
}

/** A planned stream: who opens it, what each end does, and what came of it. */
export class Conversation {
  readonly id: number;
  readonly plan: ConversationPlan;
  /** By node: 0 is the dialler. */
  readonly ends: readonly [End, End] = [new End(), new End()];
  /** The opener's session took or refused the open; undefined while it has not been tried. */
  opened: boolean | undefined;

  constructor(id: number, plan: ConversationPlan) {
    this.id = id;
    this.plan = plan;
  }

  /** Names the bytes this node sends. */
  direction(node: number): number {
    return 2 * this.id + node;
  }

  get settled(): boolean {
    if (this.opened === undefined) return false;
    return this.ends.every((end) => !end.attached || end.outcome !== undefined);
  }

  /** Both ends ended cleanly. */
  get finished(): boolean {
    return this.ends.every((end) => end.outcome?.kind === 'finished');
  }

  /** Records the one outcome an end may have, and checks what it claims. */
  settle(node: number, outcome: Outcome): void {
    const here = this.ends[node]!;
    must(
      here.outcome === undefined,
      () => `${this.name(node)}: ${outcome.kind} after ${here.outcome?.kind}`,
    );
    here.outcome = outcome;
    if (outcome.kind === 'finished') this.#checkFinished(node);
  }

  name(node: number): string {
    return `c${this.id}@${node}`;
  }

  /** Once all is over: the two outcomes go together. */
  checkOutcomes(): void {
    this.#checkOutcome(0);
    this.#checkOutcome(1);
  }

  /** Nothing but the other end's will, an end's death, or the session's, keeps an end from finishing. */
  #checkOutcome(node: number): void {
    const here = this.ends[node]!.outcome;
    const other = this.ends[1 - node]!;
    if (here?.kind !== 'reset' || here.code === 'session-lost') return;
    const given = other.outcome?.kind === 'gave-up' && other.outcome.code === here.code;
    const refused = !other.attached && (here.code === 'overload' || here.code === 'draining');
    must(
      given || refused,
      () =>
        `${this.name(node)}: reset ${here.code}, the other end ${JSON.stringify(other.outcome)}`,
    );
  }

  /** A clean end means that everything written at either end was delivered at the other. */
  #checkFinished(node: number): void {
    const here = this.ends[node]!;
    const there = this.ends[1 - node]!;
    const complete =
      here.ended &&
      there.ended &&
      here.written === there.delivered &&
      there.written === here.delivered &&
      here.finDelivered &&
      there.finDelivered;
    must(complete, () => `${this.name(node)}: finished with ${this.#figures()}`);
  }

  #figures(): string {
    return this.ends
      .map((end, node) => `${node}: wrote ${end.written}, delivered ${end.delivered}`)
      .join('; ');
  }
}
