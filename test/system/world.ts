import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createNetwork, type Network, removeNetwork } from '../support/namespaces/namespaces.ts';

/** What one system test works with. Everything given to `defer` is stopped at its end, last first. */
export interface World {
  readonly network: Network;
  /** Temporary, readable by all (database servers run as their own users); logs are `*.log`. */
  readonly directory: string;
  /** Registers something started, to be stopped whatever happens. */
  defer(stop: () => Promise<unknown>): void;
  /** A named part of the test; the test ends with the first that fails. */
  step(name: string, body: () => Promise<void>): Promise<void>;
  /** Prints a line with the test's results. */
  note(text: string): void;
}

export interface WorldOptions {
  readonly firewall?: boolean;
  /** Overall deadline. */
  readonly timeoutMs: number;
}

/** A test between two fresh namespaces. Its logs are kept, and their ends shown, when it fails. */
export function systemTest(
  name: string,
  options: WorldOptions,
  body: (world: World) => Promise<void>,
): void {
  test(name, { timeout: options.timeoutMs }, async (t) => {
    const network = await createNetwork({ firewall: options.firewall ?? true });
    const directory = mkdtempSync(join(tmpdir(), 'routy-system-'));
    chmodSync(directory, 0o755);
    const deferred: (() => Promise<unknown>)[] = [];
    try {
      await Promise.race([body(makeWorld(t, network, directory, deferred)), deadline(t)]);
      await cleanUp(deferred, network);
      rmSync(directory, { recursive: true, force: true });
    } catch (error) {
      t.diagnostic(`logs kept in ${directory}`);
      for (const line of logTails(directory)) t.diagnostic(line);
      await cleanUp(deferred, network);
      throw error;
    }
  });
}

/** Rejects when the test's time is up: node:test alone would leave what was started running. */
function deadline(t: TestContext): Promise<never> {
  return new Promise((_, reject) => {
    t.signal.addEventListener('abort', () => reject(new Error('the test took too long')));
  });
}

function makeWorld(
  t: TestContext,
  network: Network,
  directory: string,
  deferred: (() => Promise<unknown>)[],
): World {
  return {
    network,
    directory,
    defer: (stop) => void deferred.push(stop),
    note: (text) => t.diagnostic(text),
    step: async (name, body) => {
      let failure: unknown;
      // A failed subtest does not reject: it has to be carried to the parent by hand.
      await t.test(name, async () => {
        try {
          await body();
        } catch (error) {
          failure = error;
          throw error;
        }
      });
      if (failure !== undefined) throw failure;
    },
  };
}

async function cleanUp(deferred: (() => Promise<unknown>)[], network: Network): Promise<void> {
  for (let stop = deferred.pop(); stop !== undefined; stop = deferred.pop()) {
    await stop();
  }
  await removeNetwork(network);
}

const TAIL_LINES = 25;

function* logTails(directory: string): Generator<string> {
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.log'))) {
    const lines = readFileSync(join(directory, name), 'utf8').trimEnd().split('\n');
    yield `--- ${name}, last ${Math.min(TAIL_LINES, lines.length)} of ${lines.length} lines`;
    yield* lines.slice(-TAIL_LINES);
  }
}
