/*
 * What signals mean from the first millisecond on. This file imports nothing, so that its handlers
 * stand before the rest of the program is read; docs/SIGNALS.md has the table.
 */

const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

let runsNode = false;
let hungUp = false;

/** Takes every signal that would otherwise harm; the first thing that the program does. */
export function guardSignals(argv: readonly string[]): void {
  runsNode = argv[0] === 'up' || argv.includes('--up');
  // A listener keeps Node from opening its inspector, through which any local user could run code.
  process.on('SIGUSR1', ignore);
  // Ends a process that does not expect it, and is sent by the same habits.
  process.on('SIGUSR2', ignore);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
}

/** True when SIGHUP came before the node could take it; asked once. */
export function takeEarlyHangup(): boolean {
  const was = hungUp;
  hungUp = false;
  return was;
}

/** Whether this process is a node that is to run on, and not a command that ends by itself. */
export function isNodeProcess(): boolean {
  return runsNode;
}

/**
 * Closes an inspector that a SIGUSR1 has opened before {@link guardSignals} ran, while Node itself
 * was starting. One that was asked for on Node's command line stays.
 */
export async function shutInspector(): Promise<void> {
  const asked = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((text) =>
    text.includes('--inspect'),
  );
  if (asked || process.features.inspector !== true) return;
  const { close, url } = await import('node:inspector');
  if (url() !== undefined) close();
}

function ignore(): void {}

/** Stands aside where somebody who knows more has taken the signal. */
function onSignal(signal: keyof typeof NUMBERS): void {
  if (process.listenerCount(signal) > 1) return;
  if (signal === 'SIGHUP' && runsNode) {
    hungUp = true;
    return;
  }
  // The first process of a container has no default dispositions: a signal sent to itself is lost.
  if (process.pid === 1) process.exit(128 + NUMBERS[signal]);
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}
