import { durationText, type Part, secondsOf } from './plan.ts';

/** Says after each part of a run how long it took and how long the rest will take. */
export class Progress {
  #left: readonly Part[];
  readonly #say: (line: string) => void;
  /** How often each thing has been done, and was to be done. */
  readonly #done = new Map<string, number>();
  readonly #planned = new Map<string, number>();

  constructor(parts: readonly Part[], say: (line: string) => void) {
    this.#left = parts;
    this.#say = say;
    for (const { what } of parts) this.#planned.set(what, (this.#planned.get(what) ?? 0) + 1);
  }

  /** A part is over, measured or not. */
  done(what: string, tookMs: number): void {
    const seconds = tookMs / 1000;
    const count = (this.#done.get(what) ?? 0) + 1;
    this.#done.set(what, count);
    const index = this.#left.findIndex((part) => part.what === what);
    this.#left = this.#left
      .filter((_, at) => at !== index)
      // The same thing again takes as long as it just did.
      .map((part) => (part.what === what ? { what, seconds } : part));
    const planned = this.#planned.get(what) ?? 1;
    const name = planned === 1 ? what : `${what} ${count} of ${planned}`;
    this.#say(`${name}: ${durationText(seconds)}; ${this.#rest()}`);
  }

  /** What is left of a thing will not be done. */
  drop(what: string): void {
    this.#left = this.#left.filter((part) => part.what !== what);
  }

  #rest(): string {
    return this.#left.length === 0
      ? 'that was the last'
      : `about ${durationText(secondsOf(this.#left))} to go`;
  }
}
