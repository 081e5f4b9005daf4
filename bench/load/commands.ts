/** A load generator is a process that takes commands, one line of JSON each, and answers in kind. */
import { createInterface } from 'node:readline';

/** What a running command is given besides its own fields. */
export interface Running {
  /** Sends a line before the answer. */
  progress(line: object): void;
  /** Aborted when the bench writes `stop`. */
  readonly stopped: AbortSignal;
}

/**
 * Runs commands `{id, command}` until standard input ends and answers each with `{id, result}`, or
 * `{id, error}` when it failed.
 * The process serves all peers in turn, so that none of them meets it colder than the others.
 */
export function serveCommands<C>(run: (command: C, running: Running) => Promise<object>): void {
  let stop = new AbortController();
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line === 'stop') return stop.abort();
      stop = new AbortController();
      const { id, command } = JSON.parse(line) as { id: number; command: C };
      const progress = (result: object) => print({ id, result });
      run(command, { progress, stopped: stop.signal }).then(progress, (error) =>
        print({ id, error: error instanceof Error ? error.message : String(error) }),
      );
    })
    .once('close', () => process.exit(0));
}

/** The value below which `share` (0 to 1) of the sorted values lie. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
