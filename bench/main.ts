/** `npm run bench`: Routy beside ssh -R, a direct connection and other tunnels, in one run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { summarizeLink } from './link/link-results.ts';
import { measureLink } from './link/measure-link.ts';
import { describeMachine } from './measure.ts';
import { HELP, type Options, readOptions } from './options.ts';
import { describePlan, planOf } from './plan.ts';
import { startScript, stopAll } from './processes.ts';
import { Progress } from './progress.ts';
import { report } from './report.ts';
import { type Results, summarize } from './results.ts';
import { measureHerds } from './sections/herds.ts';
import { measureIdlePeers } from './sections/idle.ts';
import { measureResumes } from './sections/resume.ts';
import { measureRounds } from './sections/rounds.ts';
import { messageOf, type Run } from './sections/run.ts';
import { presentKinds } from './tunnels/kinds.ts';
import { findVariants, type Variant } from './tunnels/variants.ts';
import type { Ports } from './tunnels/tunnel.ts';

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;
const SCRIPT_TIMEOUT_MS = 15_000;

/** What the command line asks for. */
interface Asked {
  readonly options: Options;
  readonly variants: readonly Variant[];
}

const dir = mkdtempSync(join(tmpdir(), 'routy-bench-'));
const startedAt = performance.now();

process.exitCode = await main();

async function main(): Promise<number> {
  let asked: Asked | null;
  try {
    asked = readCommandLine();
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${HELP}`);
    rmSync(dir, { recursive: true, force: true });
    return EXIT.usage;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => void cleanUp().then(() => process.exit(EXIT.interrupted)));
  try {
    if (asked === null) console.log(HELP);
    return asked === null ? EXIT.done : await run(asked);
  } finally {
    await cleanUp();
  }
}

/** Null when help was asked for. */
function readCommandLine(): Asked | null {
  const options = readOptions(process.argv.slice(2));
  if (options === null) return null;
  return { options, variants: findVariants(options.nodes, options.planes) };
}

async function cleanUp(): Promise<void> {
  await stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function run({ options, variants }: Asked): Promise<number> {
  const problems: string[] = [];
  const problem = (text: string) => {
    if (!problems.includes(text)) problems.push(text);
    console.error(`! ${text}`);
  };
  const kinds = presentKinds(options, variants, problem);
  const peers = kinds.map(({ name }) => name);
  const plan = planOf(options, peers);
  console.error(`${peers.join(', ')}; ${describePlan(plan)}`);
  const progress = new Progress(plan, (line) => console.error(line));
  const services = await startServices();
  const results = await measure({ dir, options, kinds, services, progress, problem }, problems);
  console.log(report(results, peers));
  console.log(`\ntook ${Math.round((performance.now() - startedAt) / 1000)} s`);
  if (options.jsonFile !== null)
    writeFileSync(options.jsonFile, `${JSON.stringify(results, null, 2)}\n`);
  return problems.length === 0 ? EXIT.done : EXIT.failed;
}

/** Every section that was asked for; the problems are those told by then. */
async function measure(run: Run, problems: readonly string[]): Promise<Results> {
  const { options, kinds } = run;
  const has = (section: Options['sections'][number]) => options.sections.includes(section);
  const machine = describeMachine();
  const { samples, rounds } = await measureRounds(run);
  const idle = has('idle') ? await measureIdlePeers(run) : new Map<string, never>();
  const resume = has('resume') ? await measureResumes(run) : new Map<string, never>();
  const herds = has('peers') ? await measureHerds(run) : [];
  const link = has('link') ? summarizeLink(await measureLink(run)) : null;
  const peers = kinds.map(({ name }) => name);
  const notes = Object.fromEntries(kinds.map(({ name, note }) => [name, note]));
  const { seconds } = options;
  return summarize({
    ...{ samples, peers, idle, resume, herds, link, machine, notes, problems, rounds, seconds },
  });
}

async function startServices(): Promise<Ports> {
  const ready = (path: string) => startScript(path).next<{ port: number }>(SCRIPT_TIMEOUT_MS);
  const [bulk, echo] = await Promise.all([ready('./servers/bulk.ts'), ready('./servers/echo.ts')]);
  return { bulk: bulk.port, echo: echo.port };
}
