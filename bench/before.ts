/** A build beside the one before it, compared within each round. */
import { mean } from './measure.ts';
import type { Samples } from './samples.ts';

/** A figure of Routy divided by that of the build before. */
export interface BesideBefore {
  readonly what: string;
  /** Geometric mean over the rounds. */
  readonly ratio: number;
  /** About 95 of 100 such runs have the true ratio between these; null with fewer than three rounds. */
  readonly between: readonly [number, number] | null;
  readonly rounds: number;
}

/** Student's t for 95 %, two-sided, by degrees of freedom from 2 on; then that of many. */
const T_95 = [4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13];
const T_95_MANY = 2.09;

/**
 * The two of a round stand side by side in time, so that a machine that slows down does not count.
 * A ratio is as certain as its interval is narrow: two starts of one build differ, too.
 */
export function besideBefore(samples: Samples): BesideBefore[] {
  return samples.names('before').flatMap((what) => {
    const [routy, before] = [samples.list('routy', what), samples.list('before', what)];
    if (routy.length !== before.length) return [];
    return [compareRounds(what, routy, before)];
  });
}

function compareRounds(what: string, routy: readonly number[], before: readonly number[]) {
  const logs = routy.map((figure, round) => Math.log(figure / before[round]!));
  const middle = mean(logs)!;
  const rounds = logs.length;
  const ratio = Math.exp(middle);
  if (rounds < 3) return { what, ratio, between: null, rounds };
  const variance = logs.reduce((sum, log) => sum + (log - middle) ** 2, 0) / (rounds - 1);
  const margin = (T_95[rounds - 3] ?? T_95_MANY) * Math.sqrt(variance / rounds);
  return {
    what,
    ratio,
    between: [ratio / Math.exp(margin), ratio * Math.exp(margin)],
    rounds,
  } as const;
}
