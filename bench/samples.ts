import { median } from './measure.ts';

/** Every figure taken, by peer and name; rounds add to it and medians are read from it. */
export interface Samples {
  add(peer: string, name: string, value: number): void;
  median(peer: string, name: string): number | null;
  /** Of all rounds, in their order. */
  list(peer: string, name: string): readonly number[];
  /** Of the figures taken of a peer. */
  names(peer: string): string[];
}

export function createSamples(): Samples {
  const taken = new Map<string, number[]>();
  const key = (peer: string, name: string) => `${peer} ${name}`;
  return {
    add(peer, name, value) {
      const list = taken.get(key(peer, name));
      if (list === undefined) taken.set(key(peer, name), [value]);
      else list.push(value);
    },
    median: (peer, name) => median(taken.get(key(peer, name)) ?? []),
    list: (peer, name) => taken.get(key(peer, name)) ?? [],
    names: (peer) =>
      [...taken.keys()]
        .filter((each) => each.startsWith(`${peer} `))
        .map((each) => each.slice(peer.length + 1)),
  };
}
