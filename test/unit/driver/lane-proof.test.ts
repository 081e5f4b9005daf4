import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { proveOn } from '../../../packages/link/src/driver/lanes/lane-proof.ts';

const SESSION = '0123456789abcdef0123456789abcdef';
const SECRET = 'f'.repeat(64);
const exporter = new Uint8Array(32).map((_, index) => index);

test('a proof is an HMAC keyed with the digits of the secret', () => {
  const text = Buffer.from(`routy-lane dialler|${SESSION}|2|`);
  const expected = createHmac('sha256', Buffer.from(SECRET))
    .update(Buffer.concat([text, exporter]))
    .digest('hex');
  assert.equal(proveOn({ exporter }, SESSION)(SECRET, 2, 'dialler'), expected);
  assert.match(expected, /^[0-9a-f]{64}$/);
});

test('another secret, session, epoch, end or lane is another proof', () => {
  const other = new Uint8Array(32);
  const proofs = [
    proveOn({ exporter }, SESSION)(SECRET, 2, 'dialler'),
    proveOn({ exporter }, SESSION)('e'.repeat(64), 2, 'dialler'),
    proveOn({ exporter }, 'a'.repeat(32))(SECRET, 2, 'dialler'),
    proveOn({ exporter }, SESSION)(SECRET, 3, 'dialler'),
    proveOn({ exporter }, SESSION)(SECRET, 2, 'acceptor'),
    proveOn({ exporter: other }, SESSION)(SECRET, 2, 'dialler'),
  ];
  assert.equal(new Set(proofs).size, proofs.length);
});
