/** An invariant does not hold: the protocol, or the simulation of its surroundings, is wrong. */
export class SimFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SimFailure';
  }
}

export function must(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new SimFailure(message());
}
