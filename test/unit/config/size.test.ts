import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Address, parseTcpAddress } from '../../../packages/proto/src/base/address.ts';
import { type Draft, draftOf } from '../../../packages/routy/src/config/draft.ts';
import { unknownAllowEntries } from '../../../packages/routy/src/config/known-sites.ts';
import {
  addressesCollide,
  ClaimedAddresses,
} from '../../../packages/routy/src/config/listening.ts';
import { inspectConfig } from '../../../packages/routy/src/config/load.ts';
import { crossCheck } from '../../../packages/routy/src/config/rules.ts';
import { readDocument, TomlDocument } from '../../../packages/routy/src/config/toml/document.ts';
import { renderProblems } from '../../../packages/routy/src/config/toml/problems.ts';

const NODE = '[node]\nname = "red1"\nsite = "red"\n';

function fileOf(size: number): string {
  const indexes = Array.from({ length: size }, (_, index) => index);
  const host = (index: number) => `127.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  const services = indexes.map(
    (index) => `[service.s${index}]\ntarget = "${host(index)}:5432"\nallow = ["gray"]\n`,
  );
  const forwards = indexes.map(
    (index) => `[[forward]]\nlisten = "${host(index)}:6432"\nto = "gray/s${index}"\n`,
  );
  return NODE + services.join('') + forwards.join('');
}

/** The address, which counts how often somebody looks at it. */
function watched(address: Address, looked: () => void): Address {
  const { kind } = address;
  return {
    ...address,
    get kind() {
      looked();
      return kind;
    },
  } as Address;
}

/** How often the rules look at an address of a file with so many services and forwards. */
function looksAt(size: number): number {
  const document = readDocument(fileOf(size));
  assert.ok(document instanceof TomlDocument);
  const draft = draftOf(document.value);
  let looks = 0;
  const count = () => {
    looks += 1;
  };
  const counting: Draft = {
    ...draft,
    services: draft.services.map(({ path, value }) => ({
      path,
      value: { ...value, target: watched(value.target, count) },
    })),
    forwards: draft.forwards.map(({ path, value }) => ({
      path,
      value: { ...value, listen: watched(value.listen, count) },
    })),
  };
  assert.deepEqual(crossCheck(document, counting), []);
  return looks;
}

test('checking twice as many services and forwards looks twice as often', () => {
  const small = looksAt(100);
  assert.ok(small > 0);
  assert.ok(looksAt(200) <= 2 * small, 'more than twice as often');
});

test('the text is cut into lines once, however many problems it has', (t) => {
  const text = fileOf(50).replaceAll('listen =', 'lisen =');
  const { problems } = inspectConfig(text);
  assert.equal(problems.length, 50);
  const split = t.mock.method(String.prototype, 'split');
  const rendered = renderProblems(problems, text, 'routy.toml');
  const calls = split.mock.callCount();
  split.mock.restore();
  assert.equal(calls, 1);
  assert.match(rendered, /routy\.toml:155:1: error: unknown key "lisen"/);
});

test('what an entry of allow misses is looked for once, not for each service', () => {
  const text = fileOf(40).replaceAll('"gray"', '"grey"');
  const document = readDocument(text);
  assert.ok(document instanceof TomlDocument);
  let asked = 0;
  const sites = new Set(['gray', 'red']);
  const has = sites.has.bind(sites);
  sites.has = (name) => {
    asked += 1;
    return has(name);
  };
  const found = unknownAllowEntries(document, draftOf(document.value), { sites, nodes: new Map() });
  assert.equal(found.length, 40);
  assert.match(found[39]!.message, /unknown site "grey".*did you mean "gray"/);
  assert.equal(asked, 1);
});

test('an address is compared with the first one before it that cannot be listened on with it', () => {
  const hosts = ['0.0.0.0', '[::]', '127.0.0.1', '10.0.0.1', '[::1]', '[0:0::1]', 'localhost'];
  const ports = [0, 7000, 7001];
  const all = hosts.flatMap((host) => ports.map((port) => parseTcpAddress(`${host}:${port}`)!));
  // From every place on, so that each stands before each.
  for (const [start] of all.entries()) {
    const claimed = new ClaimedAddresses<{ address: Address }>();
    const order = [...all.slice(start), ...all.slice(0, start)];
    for (const [index, address] of order.entries()) {
      const first = order.slice(0, index).find((earlier) => addressesCollide(earlier, address));
      assert.equal(claimed.claim({ address })?.address, first);
    }
  }
});

test('addresses collide when their ports and hosts do', () => {
  const collide = (a: string, b: string) =>
    addressesCollide(parseTcpAddress(a)!, parseTcpAddress(b)!);
  for (const [a, b, expected] of [
    ['0.0.0.0:1', '127.0.0.1:1', true],
    ['0.0.0.0:1', '[::1]:1', false],
    ['[::]:1', '127.0.0.1:1', true],
    ['[::]:1', '0.0.0.0:1', true],
    ['[::1]:1', '[0:0:0::1]:1', true],
    ['localhost:1', '127.0.0.1:1', true],
    ['127.0.0.1:1', '127.0.0.2:1', false],
    ['127.0.0.1:1', '127.0.0.1:2', false],
    ['127.0.0.1:0', '127.0.0.1:0', false],
  ] as const) {
    assert.equal(collide(a, b), expected, `${a} and ${b}`);
    assert.equal(collide(b, a), expected, `${b} and ${a}`);
  }
});
