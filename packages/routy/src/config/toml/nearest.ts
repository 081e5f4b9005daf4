/**
 * The candidate somebody most likely meant, or undefined when none is close: at most a third of
 * the letters wrong (at least one may be), or the beginning of exactly one candidate.
 */
export function nearestName(text: string, candidates: Iterable<string>): string | undefined {
  const known = [...candidates];
  const limit = Math.max(1, Math.floor(text.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const distance = editDistance(text.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  if (best !== undefined) return best;
  const longer = known.filter((candidate) => text.length >= 3 && candidate.startsWith(text));
  return longer.length === 1 ? longer[0] : undefined;
}

/** `; did you mean "target"?`, or nothing when no candidate is close. */
export function didYouMean(text: string, candidates: Iterable<string>): string {
  const nearest = nearestName(text, candidates);
  return nearest === undefined ? '' : `; did you mean "${nearest}"?`;
}

/**
 * Letters to insert, delete, replace or swap with their neighbour to get from `a` to `b`: the
 * Damerau-Levenshtein distance in its restricted form (optimal string alignment).
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + cost);
      const swapped =
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) least = Math.min(least, beforeLast[column - 2]! + 1);
      current.push(least);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}
