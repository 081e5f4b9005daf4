/** The section `link`: Routy's link beside other libraries that carry streams, in turn, in one run. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadNativePlane } from '../../packages/linux/src/sockets/native-plane.ts';
import { testCa, testCredentials } from '../../test/support/certificates.ts';
import { cpuSeconds } from '../measure.ts';
import { type Script, startScript } from '../processes.ts';
import { createSamples, type Samples } from '../samples.ts';
import { messageOf, type Run } from '../sections/run.ts';
import { buildEnd } from './built-end.ts';
import type { EndCommand, EndStarted } from './end.ts';
import { CIPHER } from './libraries/tls.ts';
import { LIBRARIES, type LibraryName } from './library.ts';
import type { Load, LoadResult } from './loads.ts';

/** Every load takes this much of the time that a library is warmed up. */
export const LINK_WARM_UP_PART = 1 / 4;
const SMALL_BYTES = 100;
const LARGE_BYTES = 64 * 1024;
const STREAMS_IN_FLIGHT = 16;
/** What a command may take beyond its own duration before it counts as hung. */
const SLACK_MS = 10_000;
const PER_MILLION = 1e6;
const PER_GB = 1e9;

/** The one way to tell grpc-js. */
const ENV = { GRPC_SSL_CIPHER_SUITES: CIPHER } as const;

/** A server and a client of one library, connected. */
interface Ends {
  readonly name: LibraryName;
  readonly client: Script;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

interface Measurement {
  readonly what: string;
  load(seconds: number): Load;
  /** Figures of the result; `cpu` is what both ends used, in seconds. */
  figures(result: LoadResult, cpu: number): Readonly<Record<string, number>>;
}

const MEASUREMENTS: readonly Measurement[] = [
  {
    what: 'messages',
    load: (seconds) => ({ kind: 'messages', bytes: SMALL_BYTES, seconds }),
    figures: ({ count, seconds }, cpu) => ({
      'messages.perSecond': count / seconds,
      'messages.cpuPerMillion': (cpu / count) * PER_MILLION,
    }),
  },
  {
    what: 'bytes',
    load: (seconds) => ({ kind: 'messages', bytes: LARGE_BYTES, seconds }),
    figures: ({ bytes, seconds }, cpu) => ({
      'bytes.mbPerSecond': bytes / seconds / 1e6,
      'bytes.cpuPerGB': (cpu / bytes) * PER_GB,
    }),
  },
  requests('requests1', 1),
  requests('requests64', 64),
  {
    what: 'streams',
    load: (seconds) => ({ kind: 'streams', inFlight: STREAMS_IN_FLIGHT, seconds }),
    figures: ({ count, seconds }, cpu) => ({
      'streams.perSecond': count / seconds,
      'streams.cpuPerMillion': (cpu / count) * PER_MILLION,
    }),
  },
];

function requests(what: string, inFlight: number): Measurement {
  return {
    what,
    load: (seconds) => ({ kind: 'requests', bytes: SMALL_BYTES, inFlight, seconds }),
    figures: ({ count, seconds, p50Us, p99Us }, cpu) => ({
      [`${what}.p50Us`]: p50Us,
      [`${what}.p99Us`]: p99Us,
      [`${what}.perSecond`]: count / seconds,
      [`${what}.cpuPerMillion`]: (cpu / count) * PER_MILLION,
    }),
  };
}

export const LINK_MEASUREMENTS = MEASUREMENTS.length;

/** Like the tunnels: rounds, each with ends that are started anew and warmed up, in turned order. */
export async function measureLink(run: Run): Promise<{ samples: Samples; rounds: number }> {
  const { options, progress } = run;
  const names = presentLibraries(run);
  const ground = { end: buildEnd(), credentials: await writeCredentials(run.dir) };
  const samples = createSamples();
  const beganMs = performance.now();
  let rounds = 0;
  let roundMs = 0;
  while (rounds < options.linkRounds) {
    const roundBeganMs = performance.now();
    if (rounds > 0 && roundBeganMs - beganMs + roundMs > options.roundsBudgetMs) break;
    await round(run, rounds % 2 === 0 ? names : names.toReversed(), ground, samples);
    roundMs = performance.now() - roundBeganMs;
    rounds++;
    progress.done('link round', roundMs);
  }
  return { samples, rounds };
}

/** The wanted ones without the native transport where there is none, which one line says. */
function presentLibraries({ options, problem }: Run): readonly LibraryName[] {
  const wanted = LIBRARIES.filter((name) => options.peers.includes(name));
  const missing = wanted.includes('routy-native') ? nativeMissing() : undefined;
  if (missing === undefined) return wanted;
  if (options.peersNamed) problem(`routy-native: ${missing}`);
  else console.error(`routy-native is left out: ${missing}`);
  return wanted.filter((name) => name !== 'routy-native');
}

function nativeMissing(): string | undefined {
  const loaded = loadNativePlane();
  if ('missing' in loaded) return loaded.missing;
  loaded.plane.close();
  return undefined;
}

async function round(
  { options, problem }: Run,
  names: readonly LibraryName[],
  ground: Ground,
  samples: Samples,
): Promise<void> {
  const tell = (name: string, what: string, error: unknown) =>
    problem(`${name}: ${what}: ${messageOf(error)}`);
  const all: Ends[] = [];
  for (const name of names) {
    try {
      all.push(await start(name, ground));
    } catch (error) {
      tell(name, 'did not start', error);
    }
  }
  const inTurn = async (measurement: Measurement, seconds: number, into: Samples) => {
    for (const ends of all) {
      await measure(ends, measurement, seconds, into).catch((error: unknown) => {
        tell(ends.name, measurement.what, error);
      });
    }
  };
  const unmeasured = createSamples();
  const warmUpSeconds = options.warmUpSeconds * LINK_WARM_UP_PART;
  for (const each of MEASUREMENTS) await inTurn(each, warmUpSeconds, unmeasured);
  for (const each of MEASUREMENTS) await inTurn(each, options.seconds, samples);
  for (const ends of all) await ends.stop();
}

async function measure(
  { name, client, pids }: Ends,
  measurement: Measurement,
  seconds: number,
  samples: Samples,
): Promise<void> {
  const before = cpuOf(pids);
  const load: EndCommand = measurement.load(seconds);
  const result = await client.request<LoadResult>(load, seconds * 1000 + SLACK_MS);
  const figures = measurement.figures(result, cpuOf(pids) - before);
  for (const [figure, value] of Object.entries(figures)) samples.add(name, figure, value);
}

async function start(library: LibraryName, { end, credentials }: Ground): Promise<Ends> {
  const [server, client] = [startScript(end, ENV), startScript(end, ENV)];
  const ask = (script: Script, command: EndCommand) =>
    script.request<EndStarted>(command, SLACK_MS);
  const stop = async () => {
    await client.stop();
    await server.stop();
  };
  try {
    const listening = { kind: 'serve', library, credentials: credentials.server } as const;
    const served = await ask(server, listening);
    const { port } = served;
    const connecting = { kind: 'connect', library, credentials: credentials.client, port } as const;
    const connected = await ask(client, connecting);
    return { name: library, client, pids: [served.pid, connected.pid], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

/** Files. */
interface Credentials {
  readonly server: string;
  readonly client: string;
}

/** What all ends of a run have in common. */
interface Ground {
  /** Their program. */
  readonly end: string;
  readonly credentials: Credentials;
}

async function writeCredentials(dir: string): Promise<Credentials> {
  const own = mkdtempSync(join(dir, 'link-'));
  const ca = await testCa();
  const write = async (site: string) => {
    const file = join(own, `${site}.json`);
    writeFileSync(file, JSON.stringify(await testCredentials(ca, { site })), { mode: 0o600 });
    return file;
  };
  return { server: await write('gray'), client: await write('red') };
}
