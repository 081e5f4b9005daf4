import assert from 'node:assert/strict';
import { test } from 'node:test';
import { visibleLines, visibleText } from '../../../packages/proto/src/base/text.ts';

test('letters of every language, and their marks, stay as they are', () => {
  const text = 'Zürich Ωμέγα שלום مرحبا 日本語 👩 e\u0301 a-b_c.d/e';
  assert.equal(visibleText(text), text);
});

test('what could turn, hide or break a text stands as its number', () => {
  assert.equal(visibleText('a\u202eb'), 'a\\u{202e}b');
  const unseen = [
    ...[0x00, 0x07, 0x0a, 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x61c, 0x200b, 0x200d, 0x200e, 0x200f],
    ...[0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069],
    ...[0xfeff, 0xd800],
  ];
  for (const point of unseen) {
    const char = String.fromCharCode(point);
    assert.equal(visibleText(char), `\\u{${point.toString(16)}}`);
  }
  assert.equal(visibleText(visibleText('\u202e')), visibleText('\u202e'));
});

test('a text of several lines keeps them', () => {
  assert.equal(visibleLines('a\n\tb\r\u2028'), 'a\n\tb\\u{d}\\u{2028}');
});
