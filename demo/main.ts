import { failureText } from '../packages/routy/src/cli/output.ts';
import { runDemo } from './demo.ts';
import { Story } from './story.ts';

const USAGE = `npm run demo [-- --keep]

Shows two nodes, two databases and a firewall that only one side may pass. It takes about half a
minute and leaves nothing behind.

  --keep  stay up until Ctrl-C, and tell how to connect
`;

/**
 * Runs the demonstration until it is over or interrupted; nothing of it is left in either case.
 *
 * @returns exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  if (args.some((arg) => arg !== '--keep')) {
    const isAsked = args.every((arg) => arg === '--help' || arg === '--keep');
    process[isAsked ? 'stdout' : 'stderr'].write(USAGE);
    return isAsked ? 0 : 2;
  }
  const stop = new AbortController();
  // A terminal and npm may each deliver the same Ctrl-C; clearing up takes a bounded time anyway.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stop.abort());
  }
  // Whoever was reading is gone, as after `npm run demo | head`.
  process.stdout.on('error', () => stop.abort());
  process.stderr.on('error', () => {});
  const story = new Story((text) => process.stdout.write(text));
  try {
    await runDemo(story, { keep: args.includes('--keep'), stop: stop.signal });
    return 0;
  } catch (error) {
    process.stderr.write(failureText(error));
    return 1;
  }
}
