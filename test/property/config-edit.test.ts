import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addForward,
  addPeer,
  addService,
  removeForward,
  removeService,
} from '../../packages/routy/src/config/edit/edit.ts';
import { readDocument, TomlDocument } from '../../packages/routy/src/config/toml/document.ts';

const name = fc.constantFrom('postgres', 'redis', 'x', 'a-b', 'mysql');
const host = fc.constantFrom('127.0.0.1', 'gray.example', '[::1]');
const address = fc.tuple(host, fc.integer({ min: 1, max: 9 })).map(([h, port]) => `${h}:${port}`);
const quoted = fc.string({ unit: 'grapheme', maxLength: 12 });
const service = fc.record({
  name,
  target: fc.oneof(address, quoted),
  allow: fc.array(fc.constantFrom('gray', 'blue/blue1'), { maxLength: 3 }),
});
const forward = fc.record({ listen: address, to: name.map((text) => `gray/${text}`) });

/** Lines people leave between tables: comments, blanks, indented ones. */
const filler = fc.array(fc.constantFrom('', '# comment', '  ', '\t# [service.old]', '#'), {
  maxLength: 3,
});
const table = fc.oneof(
  name.map((text) => ['[service.', text, ']\ntarget = "a:1" # here\n  allow = [\n  "gray",\n]']),
  address.map((text) => ['[[forward]]\nlisten = "', text, '"\nto = "gray/x"']),
  fc.constant(['[fabric]', '\n', 'heartbeat_misses = 3']),
  fc.constant(['[node]', '\n', '"name" = """a\n[service.y]\n"""']),
);
const block = fc
  .tuple(filler, table, filler)
  .map(([before, parts, after]) => [...before, parts.join(''), ...after].join('\n'));

/** Layouts a person may have written; only those that are TOML. */
const text = fc
  .tuple(
    fc.array(block, { maxLength: 5 }),
    fc.constantFrom('\n', '\r\n'),
    fc.constantFrom('', '\n'),
  )
  .map(([blocks, newline, end]) => (blocks.join('\n') + end).replaceAll('\n', newline))
  .filter((candidate) => readDocument(candidate) instanceof TomlDocument);

test('adding a service and removing it gives the same text', () => {
  fc.assert(
    fc.property(text, service, (before, added) => {
      fc.pre(!before.includes(`[service.${added.name}]`));
      const after = addService(before, added);
      const value = parsed(after).service as Record<string, unknown>;
      assert.deepEqual(
        { ...(value[added.name] as object) },
        {
          target: added.target,
          allow: added.allow,
        },
      );
      assert.equal(removeService(after, added.name), before);
    }),
  );
});

test('adding a forward and removing it gives the same text', () => {
  fc.assert(
    fc.property(text, forward, (before, added) => {
      fc.pre(!before.includes(`"${added.listen}"`));
      const after = addForward(before, added);
      assert.deepEqual({ ...(parsed(after).forward as object[]).at(-1) }, { ...added });
      assert.equal(removeForward(after, added.listen), before);
    }),
  );
});

test('removing takes exactly that table and leaves the values of all others', () => {
  fc.assert(
    fc.property(text, name, (before, gone) => {
      const { service: services, ...others } = parsed(before);
      fc.pre(services !== undefined && Object.hasOwn(services as object, gone));
      const { service: left, ...othersLeft } = parsed(removeService(before, gone));
      const { [gone]: _, ...expected } = services as Record<string, unknown>;
      assert.deepEqual(plain(left ?? {}), plain(expected));
      assert.deepEqual(plain(othersLeft), plain(others));
    }),
  );
});

test('a peer of any address and any proxy text is written so that it reads back', () => {
  fc.assert(
    fc.property(
      text,
      fc.array(quoted, { minLength: 1, maxLength: 3 }),
      quoted,
      (before, addresses, via) => {
        const peer = (parsed(addPeer(before, { addresses, via })).peer as object[]).at(-1);
        const address = addresses.length === 1 ? { address: addresses[0] } : { addresses };
        assert.deepEqual({ ...peer }, { ...address, via });
      },
    ),
  );
});

function parsed(toml: string): Record<string, unknown> {
  const document = readDocument(toml);
  assert.ok(document instanceof TomlDocument, toml);
  return { ...document.value };
}

/** Without the null prototypes, which deepEqual tells from others. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
