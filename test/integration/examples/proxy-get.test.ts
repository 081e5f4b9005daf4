import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../support/lanes/lane-pair.ts';
import {
  Cutter,
  cutEachSecond,
  EXAMPLE_TIMEOUT,
  Program,
  temporary,
} from '../../support/example-programs.ts';

/** More than windows and the buffers of all sockets on the way hold. */
const LARGE_BYTES = 64_000_000;
/** Where no reader is slow. */
const MEDIUM_BYTES = 10_000_000;

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The two programs, and a directory of values inside. */
class Sites {
  readonly cutter: Cutter;
  readonly values: string;
  readonly #directory: string;
  outside!: Program;
  inside!: Program;
  #http = '';

  constructor(directory: string, cutter: Cutter) {
    this.#directory = directory;
    this.cutter = cutter;
    this.values = join(directory, 'values');
    mkdirSync(this.values);
  }

  static async start(t: { after(end: () => unknown): void }): Promise<Sites> {
    const sites = new Sites(temporary(t), await Cutter.start());
    t.after(() => sites.end());
    await sites.beginOutside();
    await sites.beginInside();
    return sites;
  }

  async beginInside(): Promise<void> {
    this.inside = new Program('proxy-get/inside.ts', [
      ...['--site', 'inside', '--data', this.values, '--dial', this.cutter.address],
    ]);
    await this.inside.hear(/^serving$/, { past: true });
  }

  async beginOutside(): Promise<void> {
    this.outside = new Program('proxy-get/outside.ts', [
      ...['--site', 'outside', '--data', join(this.#directory, 'outside')],
      ...['--listen', '127.0.0.1:0', '--peer', 'inside'],
    ]);
    this.cutter.leadTo(await this.outside.port());
    this.#http = `http://127.0.0.1:${await this.outside.hear(/^http on (\d+)$/, { past: true })}`;
  }

  write(key: string, value: string | Uint8Array): void {
    writeFileSync(join(this.values, key), value);
  }

  get(path: string): Promise<Response> {
    return fetch(`${this.#http}/${path}`);
  }

  async text(path: string): Promise<string> {
    const response = await this.get(path);
    return `${response.status} ${await response.text()}`;
  }

  /** A client that has got the first bytes, and for now takes no more. */
  async begin(path: string): Promise<Slow> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpGet(`${this.#http}/${path}`, resolve).on('error', reject);
    });
    return new Slow(response);
  }

  async end(): Promise<void> {
    await Promise.all([this.inside?.kill(), this.outside?.kill()]);
    this.cutter.close();
  }
}

class Slow {
  readonly #response: IncomingMessage;

  constructor(response: IncomingMessage) {
    this.#response = response;
  }

  /** All of it; fails when it is broken off. */
  async rest(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.#response) pieces.push(piece as Buffer);
    return Buffer.concat(pieces);
  }
}

test(
  'proxy-get: a value comes from the site that can only dial out, whatever is cut or killed',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const sites = await Sites.start(t);
    const medium = randomBytes(MEDIUM_BYTES);
    sites.write('medium', medium);
    sites.write('small', 'a small one');
    const expected = { medium: digest(medium), small: digest(Buffer.from('a small one')) };

    let isOver = false;
    let isOutsideKilled = false;
    const counts = { medium: 0, small: 0 };
    const getting = Promise.all(
      (['medium', 'medium', 'small', 'small'] as const).map(async (key) => {
        while (!isOver) {
          const body = await sites
            .get(key)
            .then((response) => response.arrayBuffer())
            // The one that is asked was killed: its clients see that, and ask again.
            .catch((error: unknown) => {
              assert.ok(isOutsideKilled, String(error));
            });
          if (body !== undefined) assert.equal(digest(new Uint8Array(body)), expected[key]);
          counts[key] += body === undefined ? 0 : 1;
          await sleep(body === undefined ? 50 : 1);
        }
      }),
    );
    // What ends it without awaiting it must not leave it going, nor its failure to nobody.
    getting.catch(() => undefined);
    try {
      await cutEachSecond([sites.cutter], async () => {
        await sites.inside.kill();
        await sites.beginInside();
        isOutsideKilled = true;
        await sites.outside.kill();
        await sites.beginOutside();
      });
      const before = { ...counts };
      await Promise.race([
        getting,
        until(
          'they are got after all that',
          () => counts.medium > before.medium + 2 && counts.small > before.small + 2,
          60_000,
        ),
      ]);
    } finally {
      isOver = true;
    }
    await getting;
    await Promise.all([sites.inside.stop(), sites.outside.stop()]);
  },
);

test(
  'proxy-get: goes on behind the last byte that came, or not at all',
  EXAMPLE_TIMEOUT,
  async (t) => {
    const sites = await Sites.start(t);
    const large = randomBytes(LARGE_BYTES);
    sites.write('large', large);
    sites.write('small', 'a small one');

    const slow = await sites.begin('large');
    // Who is slow holds up nobody else.
    assert.equal(await sites.text('small'), '200 a small one');
    await sites.inside.kill();
    await sites.beginInside();
    assert.equal(digest(await slow.rest()), digest(large));
    const from = Number(await sites.inside.hear(/^sent large from (\d+)$/, { past: true }));
    assert.ok(from > 0 && from < LARGE_BYTES, `${from}`);

    const path = join(sites.values, 'large');
    for (const change of [() => sites.write('large', large), () => rmSync(path)]) {
      const broken = await sites.begin('large');
      await sites.inside.kill();
      change();
      await sites.beginInside();
      await assert.rejects(broken.rest(), { code: 'ECONNRESET' });
    }
    await Promise.all([sites.inside.stop(), sites.outside.stop()]);
  },
);

test('proxy-get: what is not there, and who is not there', EXAMPLE_TIMEOUT, async (t) => {
  const sites = await Sites.start(t);
  const longest = 'k'.repeat(200);
  sites.write('small', 'a small one');
  sites.write('empty', '');
  sites.write(longest, 'a long name');
  mkdirSync(join(sites.values, 'directory'));

  assert.equal(await sites.text('small'), '200 a small one');
  assert.equal(await sites.text('empty'), '200 ');
  assert.equal(await sites.text(longest), '200 a long name');
  for (const key of ['nothing', 'directory']) {
    assert.equal(await sites.text(key), `404 there is no ${key}\n`);
  }
  for (const path of ['..%2Fsecret', '%', `${longest}k`, '']) {
    assert.equal(await sites.text(path), '400 GET /KEY\n', path);
  }

  // It is away, and comes back in time.
  await sites.inside.kill();
  const waiting = Promise.all(Array.from({ length: 20 }, () => sites.text('small')));
  await sites.beginInside();
  assert.deepEqual(new Set(await waiting), new Set(['200 a small one']));

  // It does not come back.
  await sites.inside.stop();
  const late = await sites.text('small');
  assert.equal(
    late,
    '504 nothing came from inside/inside1 for 10 s: it is not connected; see why it cannot dial\n',
  );
  await sites.outside.stop();
});
