import { setTimeout as sleep } from 'node:timers/promises';
import type { Attacker } from '../attacker.ts';

/** What an attacker does, over and over, until its time is up. */
export interface Behaviour {
  readonly name: string;
  /** One round; it ends soon after `attack.over`, and whatever it opened is dropped with the attack. */
  readonly round: (attack: Attack) => Promise<void>;
}

/** Rounds are at least this far apart, so that a round that ends at once is no busy loop, in ms. */
const ROUND_PAUSE_MS = 5;

/** Bounds the rounds of an attack beside its time. */
const ROUNDS_MAX = 5_000;

/** The time and the connections of one attack. */
export class Attack {
  readonly attacker: Attacker;
  readonly #untilMs: number;
  readonly #open = new Set<{ destroy(): void }>();

  constructor(attacker: Attacker, seconds: number) {
    this.attacker = attacker;
    this.#untilMs = performance.now() + seconds * 1000;
  }

  get over(): boolean {
    return performance.now() >= this.#untilMs;
  }

  /** Drops the connection at the end of the attack at the latest. */
  keep<T extends { destroy(): void }>(connection: T): T {
    this.#open.add(connection);
    return connection;
  }

  drop(connection: { destroy(): void }): void {
    this.#open.delete(connection);
    connection.destroy();
  }

  dropAll(): void {
    for (const connection of this.#open) connection.destroy();
    this.#open.clear();
  }

  /** Waits, at most until the end of the attack. */
  async pause(ms: number): Promise<void> {
    await sleep(Math.max(0, Math.min(ms, this.#untilMs - performance.now())));
  }

  /** Waits for the end of the attack, or until `gone` says that there is nothing to wait for. */
  async rest(gone: () => boolean = () => false): Promise<void> {
    while (!this.over && !gone()) await this.pause(20);
  }
}

/** Runs a behaviour for some seconds; says how many rounds it came to and what went wrong in them. */
export async function runAttack(
  behaviour: Behaviour,
  attacker: Attacker,
  seconds: number,
): Promise<{ rounds: number; errors: string[] }> {
  const attack = new Attack(attacker, seconds);
  const errors = new Set<string>();
  let rounds = 0;
  while (!attack.over && rounds < ROUNDS_MAX) {
    rounds += 1;
    try {
      await behaviour.round(attack);
    } catch (error) {
      errors.add((error as Error).message);
    }
    await attack.pause(ROUND_PAUSE_MS);
  }
  attack.dropAll();
  return { rounds, errors: [...errors].slice(0, 5) };
}
