import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  openFault,
  parseAccept,
  parseClose,
  parseHello,
  parseNumber,
  parseOffers,
  parseOpen,
  parseReset,
} from '../../../packages/proto/src/wire/payload.ts';
import { ProtocolError } from '../../../packages/proto/src/wire/protocol-error.ts';

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const HELLO = {
  versions: [1],
  capabilities: ['resume'],
  fabric: 'acme',
  site: 'red',
  node: 'red1',
  software: 'routy/0.1.0',
  instance: '0123456789abcdef0123456789abcdef',
  session: { id: 'ffffffffffffffffffffffffffffffff', epoch: 1 },
  settings: { heartbeat_interval: '5s' },
  initialWindow: 8192,
  clockUs: 1_700_000_000_000_000,
};

const OPEN = { protocol: 'tcp', versions: [1], capabilities: [], service: 'postgres' };

function refused(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
    assert.equal(error.code, 'frame-payload');
    return error.message;
  }
  return 'taken';
}

test('a HELLO is read member by member; unknown members are ignored', () => {
  assert.deepEqual(parseHello(json(HELLO)), HELLO);
  assert.deepEqual(parseHello(json({ ...HELLO, later: { deep: [1] } })), HELLO);
});

const BAD_HELLO: [string, unknown, string][] = [
  ['versions', 'x', 'HELLO versions is not a list of at most 32 numbers'],
  ['versions', [0], 'HELLO versions is not an integer from 1 to 65535'],
  ['versions', [1.5], 'HELLO versions is not an integer from 1 to 65535'],
  ['versions', [65_536], 'HELLO versions is not an integer from 1 to 65535'],
  ['versions', Array(33).fill(1), 'HELLO versions is not a list of at most 32 numbers'],
  ['capabilities', {}, 'HELLO capabilities is not a list of at most 64 texts'],
  ['capabilities', Array(65).fill('a'), 'HELLO capabilities is not a list of at most 64 texts'],
  ['capabilities', [1], 'HELLO capabilities is not a text of at most 64 characters'],
  ['capabilities', ['x'.repeat(65)], 'HELLO capabilities is not a text of at most 64 characters'],
  ['fabric', 'Acme', 'HELLO fabric is not a name'],
  ['fabric', 7, 'HELLO fabric is not a name'],
  ['site', '', 'HELLO site is not a name'],
  ['site', 'a'.repeat(64), 'HELLO site is not a name'],
  ['node', 'red_1', 'HELLO node is not a name'],
  ['software', null, 'HELLO software is not a text of at most 100 characters'],
  ['software', 'x'.repeat(101), 'HELLO software is not a text of at most 100 characters'],
  ['software', 'a\nb', 'HELLO software is not a text of at most 100 characters'],
  ['instance', '0'.repeat(31), 'HELLO instance is not 32 hex digits'],
  ['instance', 'F'.repeat(32), 'HELLO instance is not 32 hex digits'],
  ['instance', 12, 'HELLO instance is not 32 hex digits'],
  ['session', undefined, 'HELLO session is not an object'],
  ['session', [], 'HELLO session is not an object'],
  ['session', { id: 'x', epoch: 1 }, 'HELLO session id is not 32 hex digits'],
  ['session', { id: '0'.repeat(32), epoch: 0 }, 'HELLO epoch is not an integer from 1 to'],
  ['session', { id: '0'.repeat(32), epoch: 2 ** 53 }, 'HELLO epoch is not an integer from 1 to'],
  [
    'session',
    { id: '0'.repeat(32), epoch: 1, secret: '0'.repeat(63) },
    'HELLO session secret is not 64 hex digits',
  ],
  [
    'session',
    { id: '0'.repeat(32), epoch: 2, proof: 'A'.repeat(64) },
    'HELLO session proof is not 64 hex digits',
  ],
  [
    'session',
    { id: '0'.repeat(32), epoch: 2, proof: null },
    'HELLO session proof is not 64 hex digits',
  ],
  [
    'session',
    { id: '0'.repeat(32), epoch: 1, replaces: '0'.repeat(64) },
    'HELLO session replaces is not 32 hex digits',
  ],
  ['settings', null, 'HELLO settings is not an object'],
  ['settings', { a: 1 }, 'HELLO settings is not a text of at most 256 characters'],
  ['settings', { a: 'x'.repeat(257) }, 'HELLO settings is not a text of at most 256 characters'],
  ['settings', { ['x'.repeat(65)]: 'a' }, 'HELLO settings is not a text of at most 64 characters'],
  [
    'settings',
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, 'v'])),
    'HELLO settings has more than 64 members',
  ],
  ['initialWindow', -1, 'HELLO initialWindow is not an integer from 0 to 1048576'],
  ['initialWindow', 1_048_577, 'HELLO initialWindow is not an integer from 0 to 1048576'],
  ['clockUs', '0', 'HELLO clockUs is not an integer from 0 to'],
];

for (const [member, value, message] of BAD_HELLO) {
  const shown = JSON.stringify(value)?.slice(0, 30);
  test(`HELLO with ${member} = ${shown} is refused`, () => {
    const said = refused(() => parseHello(json({ ...HELLO, [member]: value })));
    assert.ok(said.startsWith(message), said);
  });
}

test('a HELLO may show that its lane belongs to the session, and name the session it replaces', () => {
  const { session } = HELLO;
  for (const more of [
    { secret: '0123456789abcdef'.repeat(4) },
    { proof: 'fedcba9876543210'.repeat(4) },
    { replaces: 'e'.repeat(32) },
    { secret: '1'.repeat(64), proof: '2'.repeat(64), replaces: '3'.repeat(32) },
  ]) {
    const hello = { ...HELLO, session: { ...session, ...more } };
    assert.deepEqual(parseHello(json(hello)), hello);
  }
});

test('limits of a HELLO are within', () => {
  const widest = {
    ...HELLO,
    versions: Array.from({ length: 32 }, (_, i) => 65_535 - i),
    capabilities: Array(64).fill('c'.repeat(64)),
    fabric: 'a'.repeat(63),
    software: 's'.repeat(100),
    session: { id: '0'.repeat(32), epoch: Number.MAX_SAFE_INTEGER },
    settings: { ['k'.repeat(64)]: 'v'.repeat(256) },
    initialWindow: 1024 * 1024,
    clockUs: 0,
  };
  assert.deepEqual(parseHello(json(widest)), widest);
});

test('names like __proto__ are settings like others', () => {
  const text = JSON.stringify(HELLO).replace('"heartbeat_interval"', '"__proto__"');
  const { settings } = parseHello(new TextEncoder().encode(text));
  assert.deepEqual(Object.entries(settings), [['__proto__', '5s']]);
});

test('a payload that is no JSON, no UTF-8 or no object is refused', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  for (const payload of [bytes('{'), bytes('{}x'), Uint8Array.of(0x22, 0xff, 0x22), bytes('')]) {
    assert.equal(
      refused(() => parseOpen(payload)),
      'OPEN is not JSON',
    );
  }
  for (const text of ['null', '[]', '1', '"x"']) {
    assert.equal(
      refused(() => parseOpen(bytes(text))),
      'OPEN is not an object',
    );
  }
});

test('an OPEN says what is opened and, if it likes, from where to where', () => {
  assert.deepEqual(parseOpen(json(OPEN)), OPEN);
  const source = { address: '2001:db8::1', port: 50_000 };
  const destination = { address: '127.0.0.1', port: 0 };
  const full = { ...OPEN, source, destination };
  assert.deepEqual(parseOpen(json(full)), full);
});

const BAD_OPEN: [string, unknown, string][] = [
  ['protocol', 'TCP', 'OPEN protocol is not a name'],
  ['versions', null, 'OPEN versions is not a list of at most 32 numbers'],
  ['capabilities', null, 'OPEN capabilities is not a list of at most 64 texts'],
  ['service', 's'.repeat(256), 'OPEN service is not a text of at most 255 characters'],
  ['source', 'x', 'OPEN source is not an object'],
  ['source', { address: 1, port: 1 }, 'OPEN source address is not a text of at most 64 characters'],
  [
    'source',
    { address: '::1', port: 65_536 },
    'OPEN source port is not an integer from 0 to 65535',
  ],
  ['destination', { address: '::1' }, 'OPEN destination port is not an integer from 0 to 65535'],
];

for (const [member, value, message] of BAD_OPEN) {
  test(`OPEN with ${member} = ${JSON.stringify(value).slice(0, 30)} is refused`, () => {
    const said = refused(() => parseOpen(json({ ...OPEN, [member]: value })));
    assert.ok(said.startsWith(message), said);
  });
}

test('what a peer would not take is found before it is sent', () => {
  assert.equal(openFault(OPEN), undefined);
  for (const [member, value, message] of BAD_OPEN) {
    assert.ok(openFault({ ...OPEN, [member]: value } as never)?.startsWith(message));
  }
  const names = Array.from({ length: 64 }, (_, i) => `${i}`.padStart(64, 'x'));
  assert.match(openFault({ ...OPEN, capabilities: names })!, /^OPEN has \d+ bytes, at most 4096$/);
  assert.equal(openFault({ ...OPEN, capabilities: names.slice(0, 50) }), undefined);
});

test('an ACCEPT says which version and capabilities were picked', () => {
  const accept = { version: 1, capabilities: ['x'] };
  assert.deepEqual(parseAccept(json(accept)), accept);
  assert.match(
    refused(() => parseAccept(json({ ...accept, version: 0 }))),
    /ACCEPT version/,
  );
  assert.match(
    refused(() => parseAccept(json({ version: 1 }))),
    /ACCEPT capabilities/,
  );
});

test('OFFERS is a list of names', () => {
  assert.deepEqual(parseOffers(json([])), []);
  assert.deepEqual(parseOffers(json(['postgres', 'redis'])), ['postgres', 'redis']);
  assert.equal(
    refused(() => parseOffers(json({}))),
    'OFFERS is not an array',
  );
  assert.equal(
    refused(() => parseOffers(json(['a b']))),
    'OFFERS item is not a name',
  );
  assert.equal(
    refused(() => parseOffers(json([['a']]))),
    'OFFERS item is not a name',
  );
});

test('RESET and CLOSE carry a code and words for people', () => {
  const payload = (code: number, text: string) => {
    const words = new TextEncoder().encode(text);
    const bytes = new Uint8Array(2 + words.length);
    bytes[0] = code >> 8;
    bytes[1] = code & 0xff;
    bytes.set(words, 2);
    return bytes;
  };
  assert.deepEqual(parseReset(payload(1, 'no')), { code: 'target-refused', reason: 'no' });
  assert.deepEqual(parseReset(payload(300, '')), { code: 'internal', reason: '' });
  assert.deepEqual(parseClose(payload(8, 'a\nb')), { code: 'taken-over', reason: 'a b' });
  assert.deepEqual(parseClose(payload(0xffff, '')), { code: 'internal', reason: '' });
});

test('numbers of a payload are read at their index, up to 2^53-1', () => {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 5n);
  view.setBigUint64(16, BigInt(Number.MAX_SAFE_INTEGER));
  view.setBigUint64(24, 2n ** 53n);
  const payload = bytes.subarray(8);
  assert.equal(parseNumber(payload, 0), 5);
  assert.equal(parseNumber(payload, 1), Number.MAX_SAFE_INTEGER);
  assert.equal(
    refused(() => parseNumber(payload, 2)),
    'a number beyond 2^53',
  );
});
