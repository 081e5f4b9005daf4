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

const WRITES = 3_000;

test(
  'handoff: a partition has one owner and all of its writes, whatever is cut or killed',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const directory = temporary(t);
    const cutter = await Cutter.start();
    const begin = async (site: 'a' | 'b'): Promise<Program> => {
      const program = new Program('handoff/main.ts', [
        ...['--site', site, '--data', join(directory, site)],
        ...(site === 'a' ? ['--listen', '127.0.0.1:0'] : ['--dial', cutter.address]),
        ...['--peer', site === 'a' ? 'b' : 'a'],
      ]);
      if (site === 'a') cutter.leadTo(await program.port());
      return program;
    };
    const programs = { a: await begin('a'), b: await begin('b') };
    t.after(async () => {
      await Promise.all([programs.a.kill(), programs.b.kill()]);
      cutter.close();
    });
    const show = (site: 'a' | 'b') => programs[site].ask('show p', /^p is (.*)$/);

    const put = programs.a.hear(new RegExp(`^put p key-${WRITES - 1}$`));
    for (let n = 0; n < WRITES; n++) programs.a.say(`put p key-${n} ${'x'.repeat(n % 300)}`);
    await put;
    const content = (await show('a')).replace(/^owned: /, '');
    assert.match(content, new RegExp(`^${WRITES} writes, `));

    // From side to side as long as it is cut; each side is killed in the middle of a move.
    let owner: 'a' | 'b' = 'a';
    let moves = 0;
    let isOver = false;
    const moving = (async () => {
      while (!isOver) {
        const next: 'a' | 'b' = owner === 'a' ? 'b' : 'a';
        // One that is killed may have begun it and not said so.
        const asked = await programs[owner]
          .ask(`move p ${next}`, /^(moving p|refused: .*)$/)
          .catch(() => 'killed');
        assert.match(asked, /^(moving p|killed|refused: p is moving)$/);
        if (asked === 'killed') continue;
        while (!(await isSettled(owner, next)))
          await new Promise((resolve) => setTimeout(resolve, 50));
        owner = next;
        moves++;
      }
    })();
    async function isSettled(from: 'a' | 'b', to: 'a' | 'b'): Promise<boolean> {
      // A program that is being started again answers later.
      const [left, right] = await Promise.all([show(from), show(to)]).catch(() => ['', '']);
      assert.ok(!(left.startsWith('owned') && right.startsWith('owned')), 'two owners');
      return left.startsWith('gone') && right.startsWith('owned');
    }
    await cutEachSecond([cutter], async () => {
      for (const site of ['a', 'b'] as const) {
        await programs[site].kill();
        programs[site] = await begin(site);
      }
    });
    isOver = true;
    await moving;
    assert.equal(await show(owner), `owned: ${content}`);
    assert.ok(moves > 2, `${moves} moves`);
    await Promise.all([programs.a.stop(), programs.b.stop()]);
  },
);
