import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { type Entry, isNewer, stampOf } from '../../../examples/fullsync/entry.ts';
import { KEYS_LISTED_MAX } from '../../../examples/fullsync/merkle.ts';
import { Store } from '../../../examples/fullsync/store.ts';
import { answerComparison, compare } from '../../../examples/fullsync/sync.ts';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../../support/example-programs.ts';
import { memoryLab } from '../../support/link-lab.ts';

const SITES = ['a', 'b'] as const;
type Site = (typeof SITES)[number];

const otherOf = (site: Site): Site => (site === 'a' ? 'b' : 'a');

/** What a comparison took, as the program says it. */
interface Said {
  readonly hashes: number;
  readonly keys: number;
  readonly sent: number;
  readonly received: number;
}

/** Two programs, one of which dials the other through a cutter. */
class Pair {
  readonly programs = {} as Record<Site, Program>;
  readonly cutter: Cutter;
  readonly #directory: string;

  constructor(directory: string, cutter: Cutter) {
    this.#directory = directory;
    this.cutter = cutter;
  }

  static async start(t: { after(end: () => unknown): void }): Promise<Pair> {
    const pair = new Pair(temporary(t), await Cutter.start());
    t.after(() => pair.end());
    for (const site of SITES) await pair.begin(site);
    return pair;
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

  async assertEqual(keys: number): Promise<void> {
    const [a, b] = [await this.root('a'), await this.root('b')];
    assert.equal(a, b);
    assert.match(a, new RegExp(` of ${keys} keys$`));
  }

  async bytes(site: Site): Promise<number> {
    return Number(await this.programs[site].ask('bytes', /^bytes (\d+)$/));
  }

  sync(from: Site): Promise<Said> {
    const heard = this.heardEqual(from);
    this.programs[from].say(`sync ${otherOf(from)}`);
    return heard;
  }

  async heardEqual(site: Site): Promise<Said> {
    const said = await this.programs[site].hear(/^equal to [ab]: (.*), attempt \d+$/);
    const [hashes, keys, sent, received] = said.match(/\d+/g)!.map(Number);
    return { hashes: hashes!, keys: keys!, sent: sent!, received: received! };
  }

  /** Entries on the disk of a site, each version. */
  linesOf(site: Site): number {
    const file = join(this.#directory, site, 'entries.jsonl');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  }

  /** Says a line again when the program was killed before it has answered. */
  async answered(site: Site, line: string, pattern: RegExp): Promise<string> {
    for (;;) {
      const program = this.programs[site];
      try {
        return await program.ask(line, pattern);
      } catch (error) {
        if (!String(error).includes('the program ended')) throw error;
      }
      while (this.programs[site] === program) await sleep(20);
    }
  }

  async end(): Promise<void> {
    await Promise.all(SITES.map((site) => this.programs[site]?.kill()));
    this.cutter.close();
  }
}

test(
  'fullsync: what goes over the wire follows from the difference, not from the stores',
  EXAMPLE_TIMEOUT,
  async (t) => {
    for (const [size, levels] of [
      [500, 3],
      [50_000, 5],
    ] as const) {
      const pair = await Pair.start(t);
      await pair.programs.a.ask(`fill same ${size}`, /^filled same$/);
      assert.equal((await pair.sync('b')).received, size);
      await pair.assertEqual(size);
      const equal = { hashes: 16, keys: 0, sent: 0, received: 0 };
      assert.deepEqual(await pair.sync('a'), equal);

      await pair.programs.a.ask('set same-7 newer', /^set/);
      await pair.programs.b.ask('set only-here value', /^set/);
      const before = await pair.bytes('b');
      const { hashes, keys, sent, received } = await pair.sync('b');
      const said = `${hashes} hashes, ${keys} keys of ${size}`;
      assert.deepEqual([sent, received], [1, 1]);
      // The hashes of the nodes above two keys, and the keys that are listed with them.
      assert.ok(hashes <= 16 + (levels - 2) * 2 * 16, said);
      assert.ok(keys <= 2 * KEYS_LISTED_MAX, said);
      const bytes = (await pair.bytes('b')) - before;
      assert.ok(bytes > 0 && bytes < 10_000, `${bytes} bytes for ${size} keys`);
      await pair.assertEqual(size + 1);
      await Promise.all(SITES.map((site) => pair.programs[site].stop()));
    }
  },
);

/** A write that a program has confirmed. */
type Confirmed = Omit<Entry, 'site'> & { readonly site: Site };

test('fullsync: the stores become equal, whatever is cut or killed', EXAMPLE_TIMEOUT, async (t) => {
  const pair = await Pair.start(t);
  const confirmed: Confirmed[] = [];
  let count = 0;
  let rounds = 0;
  let isOver = false;
  const written = new Set<string>();
  const working = (async () => {
    // A slow machine goes on until what was written after a round is compared, too.
    for (; !isOver || rounds < 2; rounds++) {
      for (const site of SITES) {
        // Here and there, and some at both.
        for (const prefix of [`${site}${rounds}`, `both${rounds}`]) {
          await pair.answered(site, `fill ${prefix} 500`, /^filled/);
          for (let i = 0; i < 500; i++) written.add(`${prefix}-${i}`);
        }
        for (let n = 0; n < 20; n++) {
          const [key, value] = [`hot-${n}`, `value ${count++}`];
          const said = await pair.answered(site, `set ${key} ${value}`, /^set .*, version (\d+)$/);
          confirmed.push({ key, value, version: Number(said), site });
          written.add(key);
        }
      }
      for (const site of SITES) await pair.answered(site, `sync ${otherOf(site)}`, /^equal/);
    }
  })();
  await cutEachSecond([pair.cutter], async () => {
    for (const site of SITES) {
      await pair.programs[site].kill();
      await pair.begin(site);
    }
  });
  isOver = true;
  await working;
  await pair.sync('a');
  await pair.assertEqual(written.size);
  for (const each of confirmed) {
    const said = await pair.programs.a.ask(`get ${each.key}`, new RegExp(`^${each.key} is (.*)$`));
    const [, value, version, site] = /^(.*), version (\d+) of (\w)$/.exec(said)!;
    const kept = { key: each.key, value: value!, version: Number(version), site: site! };
    // Another may be newer; one that was killed may have written once more and not said so.
    assert.ok(!isNewer(stampOf(each), stampOf(kept)), `${JSON.stringify(each)} is lost: ${said}`);
  }
  await Promise.all(SITES.map((site) => pair.programs[site].stop()));
});

const MANY = 40_000;
/** Enough for what is compared and for some of so many keys, too few for all. */
const HALF_BYTES = 1_500_000;

test('fullsync: goes on from what a crash in the middle has left', EXAMPLE_TIMEOUT, async (t) => {
  const pair = await Pair.start(t);
  const killInTheMiddle = async (site: Site, full: number) => {
    const before = pair.linesOf(site);
    pair.cutter.letPass(HALF_BYTES);
    pair.programs.a.say('sync b');
    while (pair.linesOf(site) === before) await sleep(2);
    await pair.programs[site].kill();
    pair.cutter.letPass(Infinity);
    const left = pair.linesOf(site);
    assert.ok(left > before && left < full, `${left} of ${full}`);
    return full - left;
  };

  // The one that is written to is the one that answers.
  await pair.programs.a.ask(`fill apple ${MANY}`, /^filled/);
  const equal = pair.heardEqual('a');
  const missingThere = await killInTheMiddle('b', MANY);
  await pair.begin('b');
  assert.equal((await equal).sent, missingThere);
  await pair.assertEqual(MANY);

  // The one that is written to is the one that compares.
  await pair.programs.b.ask(`fill pear ${MANY}`, /^filled/);
  const missingHere = await killInTheMiddle('a', 2 * MANY);
  await pair.begin('a');
  assert.equal((await pair.sync('a')).received, missingHere);
  await pair.assertEqual(2 * MANY);
  await Promise.all(SITES.map((site) => pair.programs[site].stop()));
});

const values = fc.record(
  {
    key: fc.integer({ min: 0, max: 60 }).map((n) => `key ${n}`),
    value: fc.oneof(
      { weight: 15, arbitrary: fc.constantFrom('x', 'y') },
      { weight: 1, arbitrary: fc.constant('z'.repeat(150_000)) },
    ),
    version: fc.integer({ min: 1, max: 3 }),
    site: fc.constantFrom('a', 'b', 'c'),
  },
  { noNullPrototype: true },
);

/** Few, and more than are listed in one part of the tree. */
const several = fc.array(values, { maxLength: 5 * KEYS_LISTED_MAX, size: 'max' });

function isAfter(one: Entry, other: Entry): boolean {
  if (one.version !== other.version) return one.version > other.version;
  if (one.site !== other.site) return one.site > other.site;
  return stampOf(one).digest > stampOf(other).digest;
}

test('fullsync: the newest of every key is at both sites, and only what differed was sent', async (t) => {
  const directory = temporary(t);
  const lab = await memoryLab();
  t.after(() => lab.close());
  let theirs: Store;
  lab.gray.protocol({ name: 'fullsync', accept: (stream) => answerComparison(stream, theirs) });
  const peer = lab.red.dial(lab.at);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(several, several, async (left, right) => {
      const ours = new Store('a', join(directory, `${++run}-a`));
      theirs = new Store('b', join(directory, `${run}-b`));
      for (const entry of left) ours.merge([entry]);
      theirs.merge(right);
      const newest = new Map<string, Entry>();
      for (const entry of [...left, ...right]) {
        const known = newest.get(entry.key);
        if (known === undefined || isAfter(entry, known)) newest.set(entry.key, entry);
      }
      const missing = (store: Store) =>
        [...newest].filter(([key, entry]) => !isDeepStrictEqual(store.get(key), entry)).length;
      const expected = [missing(theirs), missing(ours)];
      const isSame = expected[0] === 0 && expected[1] === 0;
      assert.equal(ours.tree.hashOf('') === theirs.tree.hashOf(''), isSame);

      const stream = await peer.open({ protocol: 'fullsync' });
      const { sent, received } = await compare(stream, ours);
      assert.deepEqual([sent, received], expected);
      for (const store of [ours, theirs, new Store('b', join(directory, `${run}-b`))]) {
        assert.equal(store.size, newest.size);
        for (const [key, entry] of newest) assert.deepEqual(store.get(key), entry);
        assert.equal(store.tree.hashOf(''), ours.tree.hashOf(''));
      }
    }),
    { numRuns: 60 },
  );
});
