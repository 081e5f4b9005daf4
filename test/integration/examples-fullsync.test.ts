import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../support/example-programs.ts';

type Site = 'a' | 'b';

/** Two programs, one of which dials the other through a cutter. */
class Pair {
  readonly programs = {} as Record<Site, Program>;
  readonly cutter: Cutter;
  readonly #directory: string;

  constructor(directory: string, cutter: Cutter) {
    this.#directory = directory;
    this.cutter = cutter;
  }

  async begin(site: Site): Promise<void> {
    const program = new Program('fullsync/main.ts', [
      ...['--site', site, '--data', join(this.#directory, site)],
      ...(site === 'a' ? ['--listen', '127.0.0.1:0'] : ['--dial', this.cutter.address]),
    ]);
    this.programs[site] = program;
    if (site === 'a') this.cutter.leadTo(await program.port());
  }

  root(site: Site): Promise<string> {
    return this.programs[site].ask('root', /^root (.*)$/);
  }

  /** What it took, as the program says it. */
  sync(from: Site, to: Site): Promise<string> {
    return this.programs[from].ask(`sync ${to}`, /^equal to [ab]: (.*)$/);
  }

  async end(): Promise<void> {
    await Promise.all([this.programs.a.kill(), this.programs.b.kill()]);
    this.cutter.close();
  }
}

async function start(t: { after(end: () => unknown): void }): Promise<Pair> {
  const pair = new Pair(temporary(t), await Cutter.start());
  t.after(() => pair.end());
  await pair.begin('a');
  await pair.begin('b');
  return pair;
}

test(
  'fullsync: what goes over the wire follows from the difference, not from the stores',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const pair = await start(t);
    for (const site of ['a', 'b'] as const) {
      await pair.programs[site].ask('fill same 20000', /^filled same$/);
    }
    await pair.sync('b', 'a');
    assert.equal(await pair.root('a'), await pair.root('b'));
    assert.match(await pair.sync('a', 'b'), /^16 hashes, 0 buckets, 0 entries/);

    await pair.programs.a.ask('set same-7 newer', /^set/);
    await pair.programs.b.ask('set only-here value', /^set/);
    // Two buckets of 4096, the nodes above them, and what is in the buckets.
    const said = await pair.sync('b', 'a');
    const [hashes, buckets, entries] = said.match(/\d+/g)!.map(Number) as [number, number, number];
    assert.ok(hashes <= 16 + 2 * 16 + 2 * 16 && buckets === 2 && entries < 60, said);
    assert.equal(await pair.root('a'), await pair.root('b'));
    await Promise.all([pair.programs.a.stop(), pair.programs.b.stop()]);
  },
);

test('fullsync: the stores become equal, whatever is cut or killed', EXAMPLE_TIMEOUT, async (t) => {
  const pair = await start(t);
  let keys = 0;
  let isOver = false;
  const working = (async () => {
    while (!isOver) {
      // Written here and there, and some at both.
      for (const site of ['a', 'b'] as const) {
        for (const prefix of [`${site}${keys}`, `both${keys}`]) {
          await answered(site, `fill ${prefix} 500`, /^filled/);
        }
      }
      keys += 1500;
      for (const [from, to] of [
        ['a', 'b'],
        ['b', 'a'],
      ] as const) {
        await answered(from, `sync ${to}`, /^equal/);
      }
    }
  })();
  /** Once more when the program was killed before it had answered. */
  async function answered(site: Site, line: string, pattern: RegExp): Promise<void> {
    for (;;) {
      const program = pair.programs[site];
      const found = await program.ask(line, pattern).catch(() => undefined);
      if (found !== undefined) return;
      while (pair.programs[site] === program) await new Promise((go) => setTimeout(go, 50));
    }
  }
  await cutEachSecond([pair.cutter], async () => {
    for (const site of ['a', 'b'] as const) {
      await pair.programs[site].kill();
      await pair.begin(site);
    }
  });
  isOver = true;
  await working;
  await pair.sync('a', 'b');
  assert.match(await pair.root('a'), new RegExp(` of ${keys} keys$`));
  assert.equal(await pair.root('a'), await pair.root('b'));
  assert.ok(keys > 1500, 'several rounds');
  await Promise.all([pair.programs.a.stop(), pair.programs.b.stop()]);
});
