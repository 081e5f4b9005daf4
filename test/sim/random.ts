/**
 * A small seeded generator: sfc32 by Chris Doty-Humphrey (PractRand, public domain), 128 bits of
 * state, passes PractRand and BigCrush. Everything random in the simulation comes from here.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Generators with different `seed` or `lane` are independent of each other. */
  constructor(seed: number, lane = 0) {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) >>> 0;
    this.#c = lane >>> 0;
    // The author's advice: a dozen rounds until the seed has reached every bit.
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /** 0..2^32-1 */
  uint32(): number {
    const result = (this.#a + this.#b + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) >>> 0;
    this.#c = (this.#c + result) >>> 0;
    return result;
  }

  /** 0 <= value < 1 */
  float(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.float() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }

  /** An integer from `min` to `max` whose size is even on a logarithmic scale: small ones are common. */
  skewed(min: number, max: number): number {
    const low = Math.log(min + 1);
    const high = Math.log(max + 1);
    return Math.min(max, Math.round(Math.exp(low + this.float() * (high - low)) - 1));
  }

  hex(digits: number): string {
    let text = '';
    while (text.length < digits) text += this.uint32().toString(16).padStart(8, '0');
    return text.slice(0, digits);
  }
}
