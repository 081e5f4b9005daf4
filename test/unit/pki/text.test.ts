import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import {
  formatAdoptionText,
  parseAdoptionText,
} from '../../../packages/routy/src/enrol/adoption-text.ts';
import {
  formatJoinLine,
  type JoinLine,
  parseJoinLine,
} from '../../../packages/routy/src/enrol/join-line.ts';
import { requireName } from '../../../packages/routy/src/pki/names.ts';
import { equalBytes, equalPins, spkiPin } from '../../../packages/routy/src/pki/pin.ts';

const LINE: JoinLine = {
  addresses: [
    { kind: 'tcp', host: 'gray.example', port: 7443 },
    { kind: 'tcp', host: '2001:db8::1', port: 7443 },
  ],
  pin: 'A'.repeat(43),
  id: 'B'.repeat(22),
  secret: 'C'.repeat(43),
  fabric: 'lab',
  site: 'red',
  node: undefined,
  expiresMs: 1_800_000_000_000,
};

function errorOf(run: () => unknown): RoutyError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof RoutyError);
    assert.ok(error.hint !== undefined && error.hint !== '');
    return error;
  }
  assert.fail('should have thrown');
}

function encoded(value: unknown): string {
  return `routy-join-1:${Buffer.from(JSON.stringify(value)).toString('base64url')}`;
}

function decoded(line: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(line.slice('routy-join-1:'.length), 'base64url').toString());
}

test('a pin is the base64url SHA-256 of the public key', () => {
  const spki = Buffer.from('any bytes');
  assert.equal(spkiPin(spki), createHash('sha256').update(spki).digest().toString('base64url'));
});

test('pins are equal only to themselves, and nothing else is a pin', () => {
  const pin = spkiPin(Buffer.from('one'));
  assert.equal(equalPins(pin, pin), true);
  assert.equal(equalPins(pin, spkiPin(Buffer.from('two'))), false);
  assert.equal(equalPins('', ''), false);
  assert.equal(equalPins(pin, `${pin}A`), false);
  assert.equal(equalPins(pin, pin.slice(0, 42)), false);
  assert.equal(equalBytes(Buffer.alloc(2), Buffer.alloc(3)), false);
});

test('names are checked where they come in', () => {
  assert.equal(requireName('site', 'red-1'), 'red-1');
  for (const text of ['', 'Red', 'a/b', '-a', 'a-', 'a b', 'a'.repeat(64)]) {
    assert.equal(errorOf(() => requireName('site', text)).code, 'name-invalid', text);
  }
});

test('a join line is read back as it was written, however it was pasted', () => {
  const line = formatJoinLine(LINE);
  assert.match(line, /^routy-join-1:[A-Za-z0-9_-]+$/);
  assert.deepEqual(parseJoinLine(line), LINE);
  assert.deepEqual(parseJoinLine(`  routy join '${line}'\n`), LINE);
  assert.deepEqual(parseJoinLine(`${line.slice(0, 90)}\n  ${line.slice(90)}\r\n`), LINE);
  const named = { ...LINE, node: 'red1' };
  assert.deepEqual(parseJoinLine(formatJoinLine(named)), named);
});

test('a damaged join line says how it is damaged', () => {
  const line = formatJoinLine(LINE);
  assert.equal(errorOf(() => parseJoinLine(line.slice(0, -7))).code, 'join-line-truncated');
  assert.equal(errorOf(() => parseJoinLine('routy-join-1:')).code, 'join-line-truncated');
  assert.equal(errorOf(() => parseJoinLine(line.slice(6))).code, 'join-line-wrong');
  assert.equal(errorOf(() => parseJoinLine('')).code, 'join-line-wrong');
  assert.equal(errorOf(() => parseJoinLine(`${line}!`)).code, 'join-line-wrong');
  const newer = errorOf(() => parseJoinLine(line.replace('join-1', 'join-2')));
  assert.equal(newer.code, 'join-line-wrong');
  assert.match(newer.message, /version 2/);
});

test('every field of a join line is checked', () => {
  const whole = decoded(formatJoinLine(LINE));
  const wrong: Record<string, unknown>[] = [
    { addresses: [] },
    { addresses: 'gray.example:7443' },
    { addresses: ['gray.example'] },
    { addresses: [7443] },
    { addresses: Array.from({ length: 17 }, () => 'a:1') },
    { pin: 'short' },
    { id: '../../etc/passwd' },
    { secret: 5 },
    { fabric: 'Lab' },
    { site: '' },
    { node: 'a/b' },
    { expires: 'tomorrow' },
    { expires: 1e20 },
    { expires: -1 },
  ];
  for (const change of wrong) {
    const error = errorOf(() => parseJoinLine(encoded({ ...whole, ...change })));
    assert.equal(error.code, 'join-line-truncated', JSON.stringify(change));
  }
  assert.equal(errorOf(() => parseJoinLine(encoded(null))).code, 'join-line-truncated');
  assert.deepEqual(parseJoinLine(encoded(whole)), LINE);
});

test('an expired join line is refused when a time is given', () => {
  const line = formatJoinLine(LINE);
  assert.deepEqual(parseJoinLine(line, LINE.expiresMs), LINE);
  assert.equal(errorOf(() => parseJoinLine(line, LINE.expiresMs + 1)).code, 'invite-expired');
});

test('ADDRESS#PIN is read back as it was written, and damage is named', () => {
  const text = {
    address: { kind: 'tcp', host: '2001:db8::1', port: 7443 },
    keyPin: 'D'.repeat(43),
    secret: 'E'.repeat(22),
  } as const;
  const written = formatAdoptionText(text);
  assert.equal(written, `[2001:db8::1]:7443#${'D'.repeat(43)}.${'E'.repeat(22)}`);
  assert.deepEqual(parseAdoptionText(` '${written}'\n`), text);
  const damaged: [string, RegExp][] = [
    ['gray.example:7443', /no #/],
    [written.replace(':7443', ''), /not HOST:PORT/],
    [written.slice(0, 40), /pin after #/],
    [written.slice(0, -3), /secret/],
    [written.slice(0, written.indexOf('.')), /secret/],
    [`${written}.more`, /secret/],
  ];
  for (const [damage, words] of damaged) {
    const error = errorOf(() => parseAdoptionText(damage));
    assert.equal(error.code, 'adoption-text-wrong');
    assert.match(error.message, words);
  }
});
