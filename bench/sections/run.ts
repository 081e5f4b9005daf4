import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from '../options.ts';
import type { Progress } from '../progress.ts';
import type { Ports, Tunnel, TunnelKind } from '../tunnels/tunnel.ts';

/** One run of the bench, as its sections see it. */
export interface Run {
  /** Removed at the end. */
  readonly dir: string;
  readonly options: Options;
  /** The peers that are there, in the order of the table. */
  readonly kinds: readonly TunnelKind[];
  readonly services: Ports;
  readonly progress: Progress;
  /** Tells about what could not be measured; the run goes on. */
  readonly problem: (text: string) => void;
}

/** A tunnel in a directory of its own; null when it did not start, which was told. */
export async function startTunnel(run: Run, kind: TunnelKind): Promise<Tunnel | null> {
  const own = mkdtempSync(join(run.dir, `${kind.name}-`));
  try {
    return await kind.start(run.services, own);
  } catch (error) {
    run.problem(`${kind.name}: did not start: ${messageOf(error)}`);
    return null;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
