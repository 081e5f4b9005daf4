import { requireDemoPackages } from '../demo/packages.ts';
import { Story } from '../demo/story.ts';

/** Runs the demonstration until it is over or interrupted; nothing of it is left in either case. */
export async function demo(_out: unknown, options: { readonly keep?: boolean }): Promise<void> {
  requireDemoPackages();
  const { runDemo } = await import('../demo/demo.ts');
  const stop = new AbortController();
  // A terminal and npm may each deliver the same Ctrl-C; clearing up takes a bounded time anyway.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => stop.abort());
  }
  // Whoever was reading is gone, as after `routy demo | head`.
  process.stdout.on('error', () => stop.abort());
  const story = new Story((text) => process.stdout.write(text));
  await runDemo(story, { keep: options.keep === true, stop: stop.signal });
}
