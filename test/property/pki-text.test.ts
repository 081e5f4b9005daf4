import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RoutyError } from '../../packages/proto/src/base/errors.ts';
import {
  formatAdoptionText,
  parseAdoptionText,
} from '../../packages/routy/src/enrol/adoption-text.ts';
import {
  formatJoinLine,
  type JoinLine,
  parseJoinLine,
} from '../../packages/routy/src/enrol/join-line.ts';

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const address = fc.record(
  {
    kind: fc.constant('tcp' as const),
    host: fc.oneof(fc.ipV4(), name, fc.constant('2001:db8::7')),
    port: fc.integer({ min: 0, max: 65_535 }),
  },
  { noNullPrototype: true },
);

function base64url(bytes: number): fc.Arbitrary<string> {
  return fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((array) => Buffer.from(array).toString('base64url'));
}

const joinLine: fc.Arbitrary<JoinLine> = fc.record(
  {
    addresses: fc.array(address, { minLength: 1, maxLength: 16 }),
    pin: base64url(32),
    id: base64url(16),
    secret: base64url(32),
    fabric: name,
    site: name,
    node: fc.option(name, { nil: undefined }),
    expiresMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  },
  { noNullPrototype: true },
);

function refuses(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch (error) {
    assert.ok(error instanceof RoutyError, String(error));
    return true;
  }
}

test('every join line survives writing and reading', () => {
  fc.assert(
    fc.property(joinLine, (line) => {
      assert.deepEqual(parseJoinLine(formatJoinLine(line)), line);
    }),
  );
});

test('a join line cut off anywhere is refused', () => {
  fc.assert(
    fc.property(joinLine, fc.double({ min: 0, max: 0.999, noNaN: true }), (line, share) => {
      const text = formatJoinLine(line);
      assert.ok(refuses(() => parseJoinLine(text.slice(0, Math.floor(text.length * share)))));
    }),
  );
});

test('any text as a join line or ADDRESS#PIN is read or refused, never a crash', () => {
  const payload = fc
    .oneof(fc.json(), fc.string())
    .map((text) => `routy-join-1:${Buffer.from(text).toString('base64url')}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), payload), (text) => {
      assert.ok(refuses(() => parseJoinLine(text)));
      assert.ok(refuses(() => parseAdoptionText(text)));
    }),
  );
});

test('every ADDRESS#PIN survives writing and reading', () => {
  fc.assert(
    fc.property(address, base64url(32), base64url(16), (where, keyPin, secret) => {
      const text = { address: where, keyPin, secret };
      assert.deepEqual(parseAdoptionText(formatAdoptionText(text)), text);
    }),
  );
});
