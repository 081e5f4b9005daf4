/** The sections that measure all tunnels side by side, round by round. */
import type { Section } from '../options.ts';
import { startScript } from '../processes.ts';
import { createSamples, type Samples } from '../samples.ts';
import type { Tunnel } from '../tunnels/tunnel.ts';
import { type Bench, ROUNDS, type RoundSection, warmUp } from './measurements.ts';
import { messageOf, type Run, startTunnel } from './run.ts';

/**
 * Everything is measured in rounds, so that noise meets all alike. Each round starts all peers anew:
 * how well the compiler of a runtime happens to do is settled in its first seconds and then stays,
 * and is worth ten per cent and more between two starts of one build.
 */
export async function measureRounds(run: Run): Promise<{ samples: Samples; rounds: number }> {
  const { options, kinds, progress } = run;
  const bench = startLoad(run);
  const sections = roundSections(options.sections);
  const beganMs = performance.now();
  let rounds = 0;
  let roundMs = 0;
  while (rounds < options.rounds && sections.length > 0) {
    const roundBeganMs = performance.now();
    if (rounds > 0 && roundBeganMs - beganMs + roundMs > options.roundsBudgetMs) break;
    // Every other round the other way about: the first one finds the machine otherwise than the last.
    const inOrder = rounds % 2 === 0 ? kinds : kinds.toReversed();
    const tunnels: Tunnel[] = [];
    for (const kind of inOrder) {
      const tunnel = await startTunnel(run, kind);
      if (tunnel !== null) tunnels.push(tunnel);
    }
    if (tunnels.length === 0) break;
    await warmUp(bench, tunnels);
    for (const section of sections) await ROUNDS[section](bench, tunnels);
    for (const tunnel of tunnels) await tunnel.stop();
    roundMs = performance.now() - roundBeganMs;
    rounds++;
    progress.done('round', roundMs);
  }
  progress.drop('round');
  return { samples: bench.samples, rounds };
}

function startLoad({ options, problem }: Run): Bench {
  return {
    bulk: startScript('./load/bulk.ts'),
    echo: startScript('./load/echo.ts'),
    connections: startScript('./load/connections.ts'),
    samples: createSamples(),
    seconds: options.seconds,
    warmUpSeconds: options.warmUpSeconds,
    failed: (peer, what, error) => problem(`${peer}: ${what}: ${messageOf(error)}`),
  };
}

/** Those of the sections that are measured in rounds. */
export function roundSections(sections: readonly Section[]): readonly RoundSection[] {
  return sections.filter((section): section is RoundSection => Object.hasOwn(ROUNDS, section));
}
