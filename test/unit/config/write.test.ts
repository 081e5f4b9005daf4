import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { writeConfigFile } from '../../../packages/routy/src/config/edit/write.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-write-'));
after(() => rmSync(directory, { recursive: true }));

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

test('a new file is written, its directory made', () => {
  const path = join(directory, 'etc', 'routy', 'routy.toml');
  writeConfigFile(path, 'a = 1\n');
  assert.equal(readFileSync(path, 'utf8'), 'a = 1\n');
  assert.deepEqual(readdirSync(join(directory, 'etc', 'routy')), ['routy.toml']);
});

test('an existing file keeps its mode and leaves nothing behind', () => {
  const path = join(directory, 'kept.toml');
  writeFileSync(path, 'old');
  chmodSync(path, 0o666); // more than a usual umask leaves
  writeConfigFile(path, 'new');
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.equal(modeOf(path), 0o666);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('a symbolic link stays one and leads to the new text', () => {
  const target = join(directory, 'target.toml');
  const link = join(directory, 'link.toml');
  writeFileSync(target, 'old');
  symlinkSync(target, link);
  writeConfigFile(link, 'new');
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(target, 'utf8'), 'new');
});

test('what cannot be written is told', () => {
  const path = join(directory, 'kept.toml', 'routy.toml');
  assert.throws(() => writeConfigFile(path, ''), { code: 'config-unwritable' });
});
