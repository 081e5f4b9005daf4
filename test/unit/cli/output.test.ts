import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { Output } from '../../../packages/routy/src/cli/output.ts';

const EVIL = 'gone\u202e\u2066\u001b[2J\u2028';

/** What is printed to both streams. */
function printed(t: TestContext, use: () => void): string {
  let text = '';
  const take = (chunk: string | Uint8Array) => {
    text += String(chunk);
    return true;
  };
  const mocks = [process.stdout, process.stderr].map((s) => t.mock.method(s, 'write', take));
  use();
  for (const { mock } of mocks) mock.restore();
  return text;
}

test('what a peer says cannot steer the terminal of whoever looks at it', (t) => {
  const text = printed(t, () => {
    const out = new Output(false);
    out.facts({}, `why: ${EVIL}\nnext line`);
    out.progress(EVIL);
    out.failure(new RoutyError('refused', EVIL, { hint: EVIL }));
  });
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Zl}\p{Zp}\p{Cf}\p{Cc}]/u);
  assert.match(text, /^why: gone\\u\{202e\}\\u\{2066\}\\u\{1b\}\[2J\\u\{2028\}\nnext line\n/);
});

test('nor as JSON, which says the same as before', (t) => {
  const text = printed(t, () => new Output(true).facts({ reason: EVIL, name: 'Zürich' }, ''));
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Zl}\p{Zp}\p{Cf}\p{Cc}]/u);
  assert.match(text, /Zürich/);
  assert.deepEqual(JSON.parse(text), { reason: EVIL, name: 'Zürich' });
});
