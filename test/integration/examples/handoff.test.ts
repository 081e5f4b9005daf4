import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Mover } from '../../../examples/handoff/moving.ts';
import { digestOf, type Item, Partitions } from '../../../examples/handoff/partitions.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../../support/example-programs.ts';

type Site = 'a' | 'b';

const SITES = ['a', 'b'] as const;
const WRITES = 3_000;
const IDS = ['a', 'b', 'c', 'd'].map((c) => `${c.repeat(8)}-0000-4000-8000-${c.repeat(12)}`) as [
  string,
  string,
  string,
  string,
];

const otherOf = (site: Site): Site => (site === 'a' ? 'b' : 'a');
const ITEMS: readonly Item[] = Array.from({ length: WRITES }, (_, n) => ({
  key: `key-${n}`,
  value: 'x'.repeat(n % 300),
}));

/** Two programs, one of which dials the other through a cutter. */
class Pair {
  readonly programs = {} as Record<Site, Program>;
  readonly cutter: Cutter;
  readonly #directory: string;
  readonly #args: readonly string[];

  constructor(directory: string, cutter: Cutter, args: readonly string[] = []) {
    this.#directory = directory;
    this.cutter = cutter;
    this.#args = args;
  }

  async begin(site: Site): Promise<void> {
    this.programs[site] = new Program('handoff/main.ts', [
      ...['--site', site, '--data', this.dataOf(site), '--peer', otherOf(site), ...this.#args],
      ...(site === 'a' ? ['--listen', '127.0.0.1:0'] : ['--dial', this.cutter.address]),
    ]);
    if (site === 'a') this.cutter.leadTo(await this.programs.a.port());
  }

  dataOf(site: Site): string {
    return join(this.#directory, site);
  }

  show(site: Site, partition = 'p'): Promise<string> {
    return this.programs[site].ask(`show ${partition}`, new RegExp(`^${partition} is (.*)$`));
  }

  /** What is in the file of an ownership. */
  itemsOf(site: Site, id: string): Item[] {
    return readLines(join(this.dataOf(site), `${id}.jsonl`)) as Item[];
  }

  async end(): Promise<void> {
    await Promise.all(SITES.map((site) => this.programs[site]?.kill()));
    this.cutter.close();
  }
}

function readLines(path: string): unknown[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as unknown);
}

function writeLines(path: string, records: readonly unknown[]): void {
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

/** Writes wherever it is allowed, and says what was confirmed. */
async function writeAt(pair: Pair, site: Site, isOver: () => boolean): Promise<Set<string>> {
  const confirmed = new Set<string>();
  for (let n = 0; !isOver(); n++) {
    const key = `of-${site}-${n}`;
    const pattern = new RegExp(`^(put|refused put) p ${key}\\b`);
    const answer = await pair.programs[site].ask(`put p ${key} y`, pattern).catch(() => 'killed');
    if (answer === 'put') confirmed.add(key);
    await sleep(answer === 'put' ? 1 : 10);
  }
  return confirmed;
}

test(
  'handoff: a partition has one owner and all of its writes, whatever is cut or killed',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const pair = new Pair(temporary(t), await Cutter.start());
    t.after(() => pair.end());
    for (const site of SITES) await pair.begin(site);
    const put = pair.programs.a.hear(new RegExp(`^put p key-${WRITES - 1}$`));
    pair.programs.a.say('create p');
    for (const { key, value } of ITEMS) pair.programs.a.say(`put p ${key} ${value}`);
    await put;

    let isOver = false;
    const writing = Promise.all(SITES.map((site) => writeAt(pair, site, () => isOver)));
    // From side to side as long as it is cut; each side is killed when a move has begun.
    let owner: Site = 'a';
    let moves = 0;
    let begun: () => void = () => undefined;
    const moving = (async () => {
      while (!isOver) {
        const next = otherOf(owner);
        // One that is killed may have begun it and not said so.
        const asked = await pair.programs[owner]
          .ask(`move p ${next}`, /^(moving|refused move p \w+: p is moving)/)
          .catch(() => 'killed');
        if (asked === 'killed') continue;
        begun();
        while (!(await isSettled(owner, next))) await sleep(20);
        owner = next;
        moves++;
      }
    })();
    async function isSettled(from: Site, to: Site): Promise<boolean> {
      // A program that is being started again answers later.
      const shown = await Promise.all([pair.show(from), pair.show(to)]).catch(() => ['', '']);
      const [left, right] = shown as [string, string];
      assert.ok(!(left.startsWith('owned') && right.startsWith('owned')), 'two owners');
      return left.startsWith('gone') && right.startsWith('owned');
    }
    await cutEachSecond([pair.cutter], async () => {
      for (const site of SITES) {
        await new Promise<void>((resolve) => {
          begun = resolve;
        });
        await pair.programs[site].kill();
        await pair.begin(site);
      }
    });
    isOver = true;
    await moving;
    const confirmed = (await writing).flatMap((keys) => [...keys]);
    assert.ok(moves > 2, `${moves} moves`);
    assert.match(await pair.show(owner), /^owned: /);
    await Promise.all(SITES.map((site) => pair.programs[site].stop()));

    const ledger = readLines(join(pair.dataOf(owner), 'ledger.jsonl')) as { id: string }[];
    const keys = pair.itemsOf(owner, ledger.at(-1)!.id).map(({ key }) => key);
    assert.deepEqual(
      keys.slice(0, WRITES),
      ITEMS.map(({ key }) => key),
    );
    assert.equal(new Set(keys).size, keys.length, 'nothing has come twice');
    // One that was killed may have written once more and not said so.
    const known = new Set(keys);
    for (const key of confirmed) assert.ok(known.has(key), `${key} was confirmed and is lost`);
    for (const site of SITES) assert.ok(confirmed.some((key) => key.startsWith(`of-${site}`)));
  },
);

test(
  'handoff: goes on from what a crash of both has left, over TLS',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const directory = temporary(t);
    const ca = await testCa('demo');
    writeFileSync(join(directory, 'ca.crt'), ca.certPem);
    for (const site of SITES) {
      const { certChainPem, keyPem } = await testCredentials(ca, { site });
      writeFileSync(join(directory, `${site}.crt`), certChainPem);
      writeFileSync(join(directory, `${site}.key`), keyPem, { mode: 0o600 });
    }
    const pair = new Pair(directory, await Cutter.start(), ['--credentials', directory]);
    t.after(() => pair.end());
    for (const site of SITES) mkdirSync(pair.dataOf(site));
    const fileOf = (site: Site, name: string) => join(pair.dataOf(site), `${name}.jsonl`);

    // p was on its way, a line of it half-written; q had been taken, and its old owner had not heard;
    // r had been let go of, and its items were still to be removed.
    const [p, q, next, other] = IDS;
    writeLines(fileOf('a', 'ledger'), [
      { partition: 'p', state: 'moving', id: p, to: 'b', next },
      { partition: 'q', state: 'moving', id: q, to: 'b', next: other },
      { partition: 'r', state: 'gone', id: other, to: 'b', next: p },
    ]);
    writeLines(fileOf('a', p), ITEMS);
    writeLines(fileOf('a', q), ITEMS.slice(0, 10));
    writeLines(fileOf('a', other), ITEMS);
    writeLines(fileOf('b', 'ledger'), [
      { partition: 'p', state: 'coming', id: next },
      { partition: 'q', state: 'coming', id: other },
      { partition: 'q', state: 'owned', id: other },
    ]);
    writeLines(fileOf('b', next), ITEMS.slice(0, 1000));
    writeFileSync(fileOf('b', next), '{"key":"key-1000","val', { flag: 'a' });
    // Since then it has been written to.
    writeLines(fileOf('b', other), ITEMS.slice(0, 11));

    for (const site of SITES) await pair.begin(site);
    const { a, b } = pair.programs;
    await a.hear(/^p goes on: 1000 of 3000 writes are there$/, { past: true });
    for (const partition of ['p', 'q']) {
      await a.hear(new RegExp(`^moved ${partition}$`), { past: true });
      assert.match(await pair.show('a', partition), /^gone: /);
    }
    assert.equal(await pair.show('b'), `owned: ${WRITES} writes, ${digestOf(ITEMS)}`);
    assert.match(await pair.show('b', 'q'), /^owned: 11 writes, /);
    assert.ok(!existsSync(fileOf('a', p)) && !existsSync(fileOf('a', other)));
    // Neither side takes writes of what it does not own, and nothing is made twice.
    const refused = (program: Program, line: string) => program.ask(line, /^refused .*?: (.*)$/);
    assert.equal(await refused(a, 'put p key value'), 'p is gone to b');
    assert.equal(await refused(b, 'put s key value'), 's is not here: create it, at one site');
    assert.equal(await refused(b, 'create p'), 'p is owned here already');
    // What was half-written did no harm to what came behind it.
    await b.stop();
    await pair.begin('b');
    assert.equal(await pair.show('b'), `owned: ${WRITES} writes, ${digestOf(ITEMS)}`);
    await Promise.all(SITES.map((site) => pair.programs[site].stop()));
  },
);

test('handoff: the copy is kept until the next owner says that it owns it', async (t) => {
  const directory = temporary(t);
  const partitions = new Partitions(directory);
  partitions.create('p');
  for (const item of ITEMS.slice(0, 300)) partitions.put('p', item);
  partitions.move('p', 'b');
  const { id, next } = partitions.stateOf('p')!;
  const mover = new Mover(partitions, 'p', { goesOn: () => undefined, moved: () => undefined });
  const { signal } = new AbortController();

  mover.established();
  assert.deepEqual(await mover.next(signal), { move: 'p', as: next });
  mover.message({ have: 100 });
  assert.deepEqual(await mover.next(signal), { from: 100, items: ITEMS.slice(100, 300) });
  mover.message({ have: 300 });
  assert.deepEqual(await mover.next(signal), { digest: digestOf(ITEMS.slice(0, 300)) });
  assert.equal(await mover.next(signal), undefined);
  // All is sent. A crash of this side now would find everything as it was.
  assert.equal(new Partitions(directory).stateOf('p')!.state, 'moving');
  assert.equal(new Partitions(directory).items(id).records.length, 300);
  mover.message({ owned: true });
  assert.equal(new Partitions(directory).stateOf('p')!.state, 'gone');
  assert.ok(!existsSync(join(directory, `${id}.jsonl`)));
});

test('handoff: the news of an ownership does not touch a later one', (t) => {
  const partitions = new Partitions(temporary(t));
  partitions.create('p');
  partitions.put('p', ITEMS[1]!);
  partitions.move('p', 'b');
  const { next } = partitions.stateOf('p')!;
  const moved: string[] = [];
  const events = { goesOn: () => undefined, moved: () => moved.push('moved') };
  const [mover, late] = [1, 2].map(() => new Mover(partitions, 'p', events)) as [Mover, Mover];

  // b gives it back before this side has heard that b has had it.
  const [back, , , foreign] = IDS;
  assert.throws(() => partitions.receive('p', back), /p cannot come: it is moving here/);
  mover.message({ owned: true });
  assert.equal(partitions.stateOf('p')!.state, 'gone');
  partitions.receive('p', back);
  partitions.add('p', back, 0, [ITEMS[1]!]);
  // What was sent in an earlier session is here already, or belongs behind what is missing.
  partitions.add('p', back, 0, [ITEMS[1]!]);
  partitions.add('p', back, 7, [ITEMS[1]!]);
  partitions.take('p', back, digestOf([ITEMS[1]!]));
  late.message({ owned: true });
  partitions.add('p', back, 1, [ITEMS[1]!]);
  partitions.take('p', next!, digestOf([]));
  assert.deepEqual(moved, ['moved', 'moved']);
  assert.equal(partitions.stateOf('p')!.state, 'owned');
  assert.deepEqual(partitions.items(back).records, [ITEMS[1]]);
  assert.throws(() => partitions.receive('p', foreign), /p cannot come: it is owned here/);
});
