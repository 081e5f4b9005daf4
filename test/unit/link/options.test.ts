import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLink, type LinkOptions } from '../../../packages/link/src/index.ts';
import { limitsOf, timesOf } from '../../../packages/link/src/link/link-options.ts';

const identity = { fabric: 'f', site: 'red', node: 'red1' };

test('what is not said has a default', () => {
  assert.deepEqual(timesOf({ times: { resumeTimeMs: 0 } }), {
    heartbeatIntervalMs: 5_000,
    heartbeatMisses: 3,
    resumeTimeMs: 0,
  });
  assert.deepEqual(limitsOf({ limits: { streams: 1 } }), {
    streamWindow: 4_194_304,
    sessionBuffer: 268_435_456,
    processBuffer: 268_435_456,
    streams: 1,
  });
});

/** What cannot be meant: it would never beat, or never stop to, or let nothing pass. */
const WRONG: readonly [options: object, named: RegExp][] = [
  [{ times: { heartbeatIntervalMs: 0 } }, /^times\.heartbeatIntervalMs is 0$/],
  [{ times: { heartbeatIntervalMs: Number.NaN } }, /^times\.heartbeatIntervalMs is NaN$/],
  [{ times: { heartbeatMisses: 1.5 } }, /^times\.heartbeatMisses is 1.5$/],
  [{ times: { resumeTimeMs: '60s' } }, /^times\.resumeTimeMs is '60s'$/],
  [{ times: { resumeTimeMs: Infinity } }, /^times\.resumeTimeMs is Infinity$/],
  [{ limits: { streamWindow: 1024 } }, /^limits\.streamWindow is 1024$/],
  [{ limits: { streams: -1 } }, /^limits\.streams is -1$/],
];

for (const [options, message] of WRONG) {
  test(`createLink refuses ${JSON.stringify(options)}`, () => {
    const create = () => createLink({ identity, ...(options as LinkOptions) });
    assert.throws(create, {
      code: 'argument-invalid',
      message,
      hint: /a whole number from \d+ to \d+/,
    });
  });
}
