import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../support/example-programs.ts';

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
