import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Store } from '../../../examples/realtime/store.ts';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../../support/example-programs.ts';

const SITES = ['a', 'b', 'c'] as const;
type Site = (typeof SITES)[number];

/** Whom each site dials: a ring, in which an entry could go round for ever. */
const DIALS: Readonly<Record<Site, readonly Site[]>> = { a: [], b: ['a'], c: ['a', 'b'] };

/** Three programs, every connection of which goes through a cutter. */
class Ring {
  readonly programs = {} as Record<Site, Program>;
  /** What was confirmed, by key. */
  readonly written = new Map<string, string>();
  readonly #cutters = {} as Record<Site, Cutter>;
  readonly #directory: string;
  #count = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get cutters(): Cutter[] {
    return [this.#cutters.a, this.#cutters.b];
  }

  async start(): Promise<void> {
    for (const site of SITES) {
      this.#cutters[site] = await Cutter.start();
      await this.begin(site);
    }
  }

  async begin(site: Site): Promise<void> {
    const others = SITES.filter((other) => other !== site);
    this.programs[site] = new Program('realtime/main.ts', [
      ...['--site', site, '--data', join(this.#directory, site), '--listen', '127.0.0.1:0'],
      ...DIALS[site].flatMap((other) => ['--dial', this.#cutters[other].address]),
      ...others.flatMap((other) => ['--peer', other]),
    ]);
    this.#cutters[site].leadTo(await this.programs[site].port());
  }

  /** Writes at a site; only what was confirmed must be everywhere. */
  async write(site: Site): Promise<void> {
    const [key, value] = [`${site}-${this.#count++ % 50}`, `value ${this.#count}`];
    await this.programs[site].ask(`set ${key} ${value}`, new RegExp(`^wrote ${key} as `));
    this.written.set(key, value);
  }

  async values(site: Site): Promise<Record<string, string>> {
    return JSON.parse(await this.programs[site].ask('values', /^values (.*)$/)) as never;
  }

  /** Every neighbour has acknowledged everything. */
  async isAcknowledged(): Promise<boolean> {
    const behind = await Promise.all(
      SITES.map((site) => this.programs[site].ask('behind', /^behind (.*)$/)),
    );
    return behind.every((counts) => Object.values(JSON.parse(counts)).every((n) => n === 0));
  }

  async end(): Promise<void> {
    await Promise.all(SITES.map((site) => this.programs[site].kill()));
    for (const site of SITES) this.#cutters[site].close();
  }

  /** What a site has applied, as `origin:sequence`. */
  applied(site: Site): string[] {
    return readFileSync(join(this.#directory, site, 'writes.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { origin: string; sequence: number })
      .map(({ origin, sequence }) => `${origin}:${sequence}`);
  }
}

/** Whole lines of a journal. */
function linesOf(path: string): number {
  return readFileSync(path, 'utf8').split('\n').length - 1;
}

const numberOf = (value: string) => Number(value.split(' ')[1]);

test(
  'realtime: a write is at every site once, whatever is cut or killed',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const ring = new Ring(temporary(t));
    await ring.start();
    t.after(() => ring.end());
    let isOver = false;
    const writing = Promise.all(
      (['a', 'b'] as const).map(async (site) => {
        while (!isOver) {
          await ring.write(site).catch(() => sleep(100));
          await sleep(5);
        }
      }),
    );
    await cutEachSecond(ring.cutters, async () => {
      // A side that others dial, and one that dials.
      for (const site of ['a', 'c'] as const) {
        await ring.programs[site].kill();
        await ring.begin(site);
      }
    });
    isOver = true;
    await writing;
    await ring.write('c');

    const same = async () => {
      const all = await Promise.all(SITES.map((site) => ring.values(site)));
      const [first, ...others] = all.map((values) => JSON.stringify(values));
      const complete = [...ring.written.keys()].every((key) => key in all[0]!);
      return complete && others.every((each) => each === first);
    };
    while (!(await same())) await sleep(100);
    while (!(await ring.isAcknowledged())) await sleep(100);
    const values = await ring.values('b');
    for (const [key, value] of ring.written) {
      // One that was killed may have written once more and not said so.
      assert.ok(
        numberOf(values[key]!) >= numberOf(value),
        `${key} is ${values[key]}, not ${value}`,
      );
    }
    const applied = SITES.map((site) => ring.applied(site).sort());
    for (const [index, each] of applied.entries()) {
      assert.equal(new Set(each).size, each.length, `applied twice at ${SITES[index]}`);
      assert.deepEqual(each, applied[0]);
    }
    assert.ok(applied[0]!.length >= ring.written.size && ring.written.size > 50);
    for (const site of SITES) await ring.programs[site].stop();
  },
);

const FULL = { fileBlocksMax: 8 };
const WRITES = 60;

test(
  'realtime: what a full disk did not take is neither confirmed nor acknowledged',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const directory = temporary(t);
    const running: Program[] = [];
    t.after(() => Promise.all(running.map((program) => program.kill())));
    const begin = (site: string, args: readonly string[], options = {}): Program => {
      const own = ['--site', site, '--data', join(directory, site)];
      const program = new Program('realtime/main.ts', [...own, ...args], options);
      running.push(program);
      return program;
    };
    const journal = (site: string) => join(directory, site, 'writes.jsonl');
    const valuesAt = async (program: Program) =>
      JSON.parse(await program.ask('values', /^values (.*)$/)) as Record<string, string>;

    // The site that writes has a full disk.
    let a = begin('a', ['--listen', '127.0.0.1:0'], FULL);
    await a.port();
    const outcomes: string[] = [];
    for (let n = 0; n < WRITES; n++) {
      const pattern = new RegExp(`^((?:wrote|did not write) key-${n}\\b)`);
      outcomes.push(await a.ask(`set key-${n} ${'x'.repeat(100)}`, pattern));
    }
    const confirmed = outcomes.filter((outcome) => outcome.startsWith('wrote'));
    assert.ok(confirmed.length > 0 && confirmed.length < WRITES, `${confirmed.length} confirmed`);
    await a.kill();
    a = begin('a', ['--listen', '127.0.0.1:0', '--peer', 'b']);
    const port = await a.port();
    const kept = await valuesAt(a);
    for (const outcome of confirmed) assert.ok(outcome.slice('wrote '.length) in kept, outcome);

    // The site that takes has one: the writer knows what is missing there, and sends it again.
    for (let n = 0; n < WRITES; n++) a.say(`set key-${n} ${'y'.repeat(100)}`);
    const total = confirmed.length + WRITES;
    const dial = ['--dial', `127.0.0.1:${port}`];
    let b = begin('b', dial, FULL);
    await b.hear(/^realtime failed: (.*make room.*)$/, { past: true });
    await b.hear(/^realtime failed: (.*make room.*)$/);
    const onDisk = linesOf(journal('b'));
    assert.ok(onDisk < total);
    const behind = async () => JSON.parse(await a.ask('behind', /^behind (.*)$/)) as { b: number };
    while (linesOf(journal('a')) < total) await sleep(50);
    assert.ok((await behind()).b >= total - onDisk, 'nothing is acknowledged that is not there');
    await b.kill();
    b = begin('b', dial);
    while ((await behind()).b > 0) await sleep(50);
    assert.deepEqual(await valuesAt(b), await valuesAt(a));
    assert.equal(linesOf(journal('b')), total);
    await Promise.all([a.stop(), b.stop()]);
  },
);

test('realtime: an entry goes on, and to no site that it comes from', async (t) => {
  const store = new Store('b', join(temporary(t), 'writes.jsonl'));
  const entry = { origin: 'a', sequence: 1, key: 'key', value: 'of a', path: ['a'] };
  store.take('a', [{ number: 7, entry }]);
  const { sequence } = store.write('key', 'of b');
  const { signal } = new AbortController();
  const first = await store.nextFor('c', 0, signal);
  assert.deepEqual(first, { number: 1, entry: { ...entry, path: ['a', 'b'] } });
  const second = await store.nextFor('a', 0, signal);
  assert.equal(second.entry.value, 'of b');
  assert.equal(second.number, 2);
  assert.equal(sequence, 2, 'larger than what was known when it was written');
  assert.deepEqual(
    [store.countFor('a', 0), store.countFor('c', 0), store.countFor('c', 1)],
    [1, 2, 1],
  );
  // Sent again, as after a lost acknowledgement: it is acknowledged and not applied.
  store.take('a', [{ number: 7, entry: { ...entry, value: 'again' } }]);
  assert.equal(store.heardOf('a'), 7);
  assert.equal(store.countFor('c', 0), 2);
});
