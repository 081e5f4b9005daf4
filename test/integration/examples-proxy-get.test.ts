import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../support/example-programs.ts';

const LARGE_BYTES = 30_000_000;

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test(
  'proxy-get: a value comes from the site that can only dial out, whatever is cut or killed',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const directory = temporary(t);
    const values = join(directory, 'values');
    mkdirSync(values);
    const large = randomBytes(LARGE_BYTES);
    writeFileSync(join(values, 'large'), large);
    writeFileSync(join(values, 'small'), 'a small one');
    const expected = digest(large);

    const cutter = await Cutter.start();
    const beginInside = async () => {
      const program = new Program('proxy-get/inside.ts', [
        ...['--site', 'inside', '--data', values, '--dial', cutter.address],
      ]);
      await program.hear(/^serving$/, { past: true });
      return program;
    };
    let http = '';
    const beginOutside = async () => {
      const program = new Program('proxy-get/outside.ts', [
        ...['--site', 'outside', '--data', join(directory, 'outside')],
        ...['--listen', '127.0.0.1:0', '--peer', 'inside'],
      ]);
      cutter.leadTo(await program.port());
      http = `http://127.0.0.1:${await program.hear(/^http on (\d+)$/, { past: true })}`;
      return program;
    };
    let outside = await beginOutside();
    let inside = await beginInside();
    t.after(async () => {
      await Promise.all([inside.kill(), outside.kill()]);
      cutter.close();
    });

    const get = async (key: string) => (await fetch(`${http}/${key}`)).text();
    assert.equal(await get('small'), 'a small one');
    assert.equal(await get('nothing'), 'there is no nothing\n');
    assert.match(await get('..%2Fsecret'), /^GET/);

    let isOver = false;
    let isOutsideKilled = false;
    let count = 0;
    const getting = Promise.all(
      Array.from({ length: 2 }, async () => {
        while (!isOver) {
          const body = await fetch(`${http}/large`)
            .then((response) => response.arrayBuffer())
            // The one that is asked was killed: its clients see that, and ask again.
            .catch((error: unknown) => {
              assert.ok(isOutsideKilled, String(error));
            });
          if (body === undefined) await new Promise((go) => setTimeout(go, 50));
          else assert.equal(digest(new Uint8Array(body)), expected);
          count += body === undefined ? 0 : 1;
        }
      }),
    );
    await cutEachSecond([cutter], async () => {
      await inside.kill();
      inside = await beginInside();
      isOutsideKilled = true;
      await outside.kill();
      outside = await beginOutside();
    });
    isOver = true;
    await getting;
    assert.ok(count > 2, `${count} values`);

    await inside.stop();
    const late = await fetch(`${http}/small`);
    assert.equal(late.status, 504, 'nobody inside');
    await outside.stop();
  },
);
