import { parseArgs } from 'node:util';

/** Which inputs of a seed are made. */
export interface FuzzOptions {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
}

/** What `npm run NAME -- [--count N] [--seed S] [--at I]` was told; undefined when that says nothing. */
export function readFuzzOptions(
  name: string,
  args: readonly string[] = process.argv.slice(2),
): FuzzOptions | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        count: { type: 'string', default: '100000' },
        seed: { type: 'string', default: '1' },
        at: { type: 'string' },
      },
    });
    const seed = wholeNumber(values.seed);
    return values.at === undefined
      ? { seed, first: 0, count: wholeNumber(values.count) }
      : { seed, first: wholeNumber(values.at), count: 1 };
  } catch (error) {
    process.stderr.write(`${name}: ${(error as Error).message}\n`);
    process.stderr.write(`usage: npm run ${name} -- [--count N] [--seed S] [--at I]\n`);
    return undefined;
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`not a whole number: ${text}`);
  return value;
}
