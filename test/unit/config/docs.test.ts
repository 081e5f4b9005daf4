import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspectConfig, parseConfig } from '../../../packages/routy/src/config/load.ts';
import { generatedFiles } from '../../../scripts/config-docs.ts';

test('what is generated from the schema is up to date', () => {
  const files = generatedFiles();
  assert.equal(files.length, 2);
  for (const { path, text } of files) {
    assert.ok(readFileSync(path, 'utf8') === text, `${path} is stale: run npm run docs:config`);
  }
});

test('the JSON Schema speaks of every key with its meaning', () => {
  const schema = JSON.parse(generatedFiles()[1]!.text);
  const { node, fabric, service } = schema.properties;
  assert.deepEqual(node.required, ['name', 'site']);
  assert.equal(node.additionalProperties, false);
  assert.equal(fabric.properties.resume_time.default, '60s');
  assert.match(fabric.properties.resume_time.description, /\(shared\)$/);
  assert.equal(service.additionalProperties.properties.allow.items.type, 'string');
});

const EXAMPLE = readFileSync(
  new URL('../../../packaging/routy.example.toml', import.meta.url),
  'utf8',
);

test('the example file is valid, and its commented keys say the defaults', () => {
  const config = parseConfig(EXAMPLE, 'routy.example.toml');
  const commented = EXAMPLE.replace(/^# ([a-z_]+ = )/gm, '$1').replace(
    /^(advertise|proxy_protocol|source|clients|socket_[a-z]+) .*$/gm,
    '',
  );
  assert.notEqual(commented, EXAMPLE);
  const all = parseConfig(commented.replace(/^metrics_listen.*$/m, ''), 'routy.example.toml');
  assert.deepEqual(all, config);
});

test('the example file shows every key', () => {
  const schema = JSON.parse(generatedFiles()[1]!.text);
  const keys = new Set<string>();
  const walk = (part: Record<string, unknown>): void => {
    for (const [key, value] of Object.entries((part.properties ?? {}) as object)) {
      keys.add(key);
      walk(value.items ?? value.additionalProperties ?? value);
      walk(value);
    }
  };
  walk(schema);
  assert.ok(keys.size > 25);
  const missing = [...keys].filter((key) => !new RegExp(`\\b${key}\\b`).test(EXAMPLE));
  assert.deepEqual(missing, []);
});

test('the file in the reference is valid', () => {
  const reference = generatedFiles()[0]!.text;
  const example = /```toml\n(\[node\][\s\S]*?)```/.exec(reference)?.[1];
  assert.deepEqual(inspectConfig(example ?? '').problems, []);
});
