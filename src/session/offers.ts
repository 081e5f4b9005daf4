import { FrameType } from '../wire/layout.ts';
import type { LaneState } from './lane-state.ts';

/** The lists of services each side offers. They are numbered: several lanes may mix up their order. */
export class Offers {
  #services: readonly string[] | undefined;
  #said = 0;
  #heard = 0;

  /** This side's list from now on. */
  set(services: readonly string[]): void {
    this.#services = services;
    this.#said++;
  }

  say(lane: LaneState | undefined): void {
    if (this.#services === undefined) return;
    lane?.writer.json(FrameType.OFFERS, 0, this.#said, this.#services);
  }

  /** Whether the peer's list of that number is newer than what was heard before. */
  isNews(number: number): boolean {
    if (number <= this.#heard) return false;
    this.#heard = number;
    return true;
  }
}
