/** `npm run bench`: Routy beside ssh -R, a direct connection and other tunnels, in one run. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IdleFigures, measureIdle } from './idle.ts';
import { summarizeLink } from './link/link-results.ts';
import { measureLink } from './link/measure-link.ts';
import { describeMachine } from './measure.ts';
import { HELP, type Options, readOptions } from './options.ts';
import { measurePeers, type PeersFigures } from './peers.ts';
import { startScript, stopAll } from './processes.ts';
import { report } from './report.ts';
import { summarize } from './results.ts';
import { measureResume, type ResumeFigures } from './resume.ts';
import { createSamples } from './samples.ts';
import { type Bench, ROUNDS, type RoundSection, warmUp } from './sections.ts';
import { bore } from './tunnels/bore.ts';
import { chisel } from './tunnels/chisel.ts';
import { direct } from './tunnels/direct.ts';
import { frp } from './tunnels/frp.ts';
import { rathole } from './tunnels/rathole.ts';
import { before, routy } from './tunnels/routy.ts';
import { ssh } from './tunnels/ssh.ts';
import type { Ports, Tunnel, TunnelKind } from './tunnels/tunnel.ts';

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;
const KINDS: readonly TunnelKind[] = [routy, before, ssh, direct, rathole, frp, chisel, bore];
/** Peers that belong to every run: their absence is told. Others are only measured if found. */
const EXPECTED: readonly TunnelKind[] = [routy, ssh, direct];
/** Whose connections are cut. */
const RESUMED: readonly TunnelKind[] = [routy, ssh];
/** In a quick run the others' idle streams would take too long. */
const QUICK_IDLE_PEERS = ['routy'];
const SCRIPT_TIMEOUT_MS = 15_000;

const dir = mkdtempSync(join(tmpdir(), 'routy-bench-'));
const startedAt = performance.now();

process.exitCode = await main();

async function main(): Promise<number> {
  let options: Options | null;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${HELP}`);
    rmSync(dir, { recursive: true, force: true });
    return EXIT.usage;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => void cleanUp().then(() => process.exit(EXIT.interrupted)));
  try {
    if (options === null) console.log(HELP);
    return options === null ? EXIT.done : await run(options);
  } finally {
    await cleanUp();
  }
}

async function cleanUp(): Promise<void> {
  await stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function run(options: Options): Promise<number> {
  const machine = describeMachine();
  const problems: string[] = [];
  const problem = (text: string) => {
    if (!problems.includes(text)) problems.push(text);
    console.error(`! ${text}`);
  };
  const services = await startServices();
  const kinds = KINDS.filter((kind) => present(kind, options, problem));
  const { samples, rounds } = await measureRounds(options, kinds, services, problem);
  const idle = options.sections.includes('idle')
    ? await measureIdlePeers(options, kinds, services, problem)
    : new Map<string, IdleFigures>();
  const resume = options.sections.includes('resume')
    ? await measureResumes(options, kinds, services, problem)
    : new Map<string, ResumeFigures>();
  const herds = options.sections.includes('peers') ? await measureHerds(options, problem) : [];
  const link = options.sections.includes('link')
    ? summarizeLink(await measureLink(dir, options, problem))
    : null;

  const peers = kinds.map(({ name }) => name);
  const notes = Object.fromEntries(kinds.map(({ name, note }) => [name, note]));
  const { seconds } = options;
  const results = summarize({
    ...{ samples, peers, idle, resume, herds, link, machine, notes, problems, rounds, seconds },
  });
  console.log(report(results, peers));
  console.log(`\ntook ${Math.round((performance.now() - startedAt) / 1000)} s`);
  if (options.jsonFile !== null)
    writeFileSync(options.jsonFile, `${JSON.stringify(results, null, 2)}\n`);
  return problems.length === 0 ? EXIT.done : EXIT.failed;
}

function present(kind: TunnelKind, options: Options, problem: (text: string) => void): boolean {
  if (!options.peers.includes(kind.name)) return false;
  const missing = kind.missing();
  if (missing !== null && EXPECTED.includes(kind)) problem(`${kind.name}: ${missing}`);
  return missing === null;
}

async function startServices(): Promise<Ports> {
  const ready = (path: string) => startScript(path).next<{ port: number }>(SCRIPT_TIMEOUT_MS);
  const [bulk, echo] = await Promise.all([ready('./servers/bulk.ts'), ready('./servers/echo.ts')]);
  return { bulk: bulk.port, echo: echo.port };
}

/**
 * Everything is measured in rounds, so that noise meets all alike. Each round starts all peers anew:
 * how well the compiler of a runtime happens to do is settled in its first seconds and then stays,
 * and is worth ten per cent and more between two starts of one build.
 */
async function measureRounds(
  options: Options,
  kinds: readonly TunnelKind[],
  services: Ports,
  problem: (text: string) => void,
) {
  const bench: Bench = {
    bulk: startScript('./load/bulk.ts'),
    echo: startScript('./load/echo.ts'),
    connections: startScript('./load/connections.ts'),
    samples: createSamples(),
    seconds: options.seconds,
    warmUpSeconds: options.warmUpSeconds,
    failed: (peer, what, error) => problem(`${peer}: ${what}: ${messageOf(error)}`),
  };
  const sections = options.sections.filter((section): section is RoundSection =>
    Object.hasOwn(ROUNDS, section),
  );
  let rounds = 0;
  let roundMs = 0;
  while (rounds < options.rounds && sections.length > 0) {
    const roundStart = performance.now();
    if (rounds > 0 && roundStart - startedAt + roundMs > options.roundsBudgetMs) break;
    // Every other round the other way about: the first one finds the machine otherwise than the last.
    const inOrder = rounds % 2 === 0 ? kinds : kinds.toReversed();
    const tunnels = await startTunnels(inOrder, services, problem);
    if (tunnels.length === 0) break;
    await warmUp(bench, tunnels);
    for (const section of sections) await ROUNDS[section](bench, tunnels);
    for (const tunnel of tunnels) await tunnel.stop();
    roundMs = performance.now() - roundStart;
    rounds++;
    console.error(`round ${rounds} of ${options.rounds}: ${Math.round(roundMs / 1000)} s`);
  }
  return { samples: bench.samples, rounds };
}

async function startTunnels(
  kinds: readonly TunnelKind[],
  services: Ports,
  problem: (text: string) => void,
): Promise<Tunnel[]> {
  const tunnels: Tunnel[] = [];
  for (const kind of kinds) {
    const tunnel = await startTunnel(kind, services, problem);
    if (tunnel !== null) tunnels.push(tunnel);
  }
  return tunnels;
}

async function startTunnel(
  kind: TunnelKind,
  services: Ports,
  problem: (text: string) => void,
): Promise<Tunnel | null> {
  const own = mkdtempSync(join(dir, `${kind.name}-`));
  try {
    return await kind.start(services, own);
  } catch (error) {
    problem(`${kind.name}: did not start: ${messageOf(error)}`);
    return null;
  }
}

/** One peer after the other, each freshly started, so that its memory is its own idle streams'. */
async function measureIdlePeers(
  options: Options,
  kinds: readonly TunnelKind[],
  services: Ports,
  problem: (text: string) => void,
): Promise<Map<string, IdleFigures>> {
  const figures = new Map<string, IdleFigures>();
  for (const kind of kinds) {
    if (kind === direct || (options.quick && !QUICK_IDLE_PEERS.includes(kind.name))) continue;
    const tunnel = await startTunnel(kind, services, problem);
    if (tunnel === null || tunnel.pids === null) continue;
    const load = startScript('./load/idle.ts');
    const connections = startScript('./load/connections.ts');
    try {
      figures.set(kind.name, await measureIdle(tunnel, tunnel.pids, load, connections, options));
    } catch (error) {
      problem(`${kind.name}: idle streams: ${messageOf(error)}`);
    }
    await tunnel.stop();
  }
  return figures;
}

/** One peer after the other, each with a path of its own. */
async function measureResumes(
  options: Options,
  kinds: readonly TunnelKind[],
  services: Ports,
  problem: (text: string) => void,
): Promise<Map<string, ResumeFigures>> {
  const figures = new Map<string, ResumeFigures>();
  for (const kind of kinds.filter((each) => RESUMED.includes(each))) {
    const own = mkdtempSync(join(dir, `${kind.name}-cut-`));
    try {
      figures.set(kind.name, await measureResume(kind, services, own, options.resumeCuts));
    } catch (error) {
      problem(`${kind.name}: resume: ${messageOf(error)}`);
    }
  }
  return figures;
}

/** Of one address and of many, in turn. */
async function measureHerds(
  options: Options,
  problem: (text: string) => void,
): Promise<PeersFigures[]> {
  const figures: PeersFigures[] = [];
  for (const nodes of options.herds) {
    for (const addresses of ['one', 'many'] as const) {
      try {
        figures.push(await measurePeers(dir, nodes, addresses, options.herdIdleMs));
      } catch (error) {
        problem(`${nodes} nodes of ${addresses} address: ${messageOf(error)}`);
      }
    }
  }
  return figures;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
