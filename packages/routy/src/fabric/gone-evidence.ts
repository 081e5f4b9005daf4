/**
 * What a dialled address said: `other`, a node of the fabric that is not the one asked for;
 * `refused`, nobody listens; `unclear`, anything that a node which lives may look like.
 */
export type DialAnswer = 'other' | 'refused' | 'unclear';

/** How often in a row an address must have said that the node is not there. */
export const GONE_ANSWERS_MIN = 3;

/**
 * And for how long. A listener that restarts, and a balancer that spreads connections over nodes
 * of which the one looked for is one, have led back to it by then.
 */
export const GONE_AFTER_MS = 2000;

interface Answers {
  count: number;
  sinceMs: number;
  last: DialAnswer;
}

/**
 * Whether the node behind a configured peer, whose session has no lane, is surely gone: each of the
 * peer's addresses has said so again and again. Silence proves nothing: the path may be to blame.
 */
export class GoneEvidence {
  readonly #addresses: readonly string[];
  readonly #answers = new Map<string, Answers>();

  constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
  }

  note(nowMs: number, address: string, answer: DialAnswer): void {
    const known = this.#answers.get(address);
    if (answer === 'unclear') this.#answers.delete(address);
    else if (known === undefined)
      this.#answers.set(address, { count: 1, sinceMs: nowMs, last: answer });
    else {
      known.count += 1;
      known.last = answer;
    }
  }

  /** The node has answered, or its session is another one. */
  clear(): void {
    this.#answers.clear();
  }

  /**
   * `othersServe`: another node of the site has a session with a lane. Where all that is known is
   * that nobody listens, only that makes giving up better than waiting.
   */
  isGone(nowMs: number, othersServe: boolean): boolean {
    let isTaken = othersServe;
    for (const address of this.#addresses) {
      const answers = this.#answers.get(address);
      if (answers === undefined || answers.count < GONE_ANSWERS_MIN) return false;
      if (nowMs - answers.sinceMs < GONE_AFTER_MS) return false;
      if (answers.last === 'other') isTaken = true;
    }
    return isTaken;
  }
}
