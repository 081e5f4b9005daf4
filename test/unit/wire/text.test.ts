import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  truncateUtf8,
  utf8Decode,
  utf8DecodeForLog,
  utf8Encode,
} from '../../../packages/proto/src/wire/text.ts';

test('text goes there and back', () => {
  for (const text of ['', 'routy', 'Grüße', '東京', '🚀']) {
    assert.equal(utf8Decode(utf8Encode(text)), text);
  }
});

test('bytes that are not UTF-8 are refused, or replaced for people', () => {
  const broken = Uint8Array.of(0x61, 0xff, 0x62);
  assert.throws(() => utf8Decode(broken), TypeError);
  assert.equal(utf8DecodeForLog(broken), 'a\ufffdb');
});

test('text for people has no control characters', () => {
  assert.equal(utf8DecodeForLog(utf8Encode('a\u001b[31mb\r\nc\u0000d\u0085e')), 'a [31mb  c d e');
});

test('truncation never cuts a character', () => {
  const text = 'aé東🚀';
  const lengths = [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10];
  lengths.forEach((length, bytesMax) => {
    const cut = truncateUtf8(text, bytesMax);
    assert.equal(cut.length, length);
    assert.ok(text.startsWith(utf8Decode(cut)));
  });
});

test('a byte order mark is not dropped', () => {
  assert.equal(utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa');
});
