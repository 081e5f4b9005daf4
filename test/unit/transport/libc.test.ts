import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { libcLoaded, loadLibc } from '../../../packages/link/src/transport/native/libc.ts';
import {
  carryUrgentInline,
  isSilent,
} from '../../../packages/link/src/transport/native/linux-socket.ts';

function throwing(error: unknown): () => never {
  return () => {
    throw error;
  };
}

test('whatever keeps koffi from loading is a reason and no more', () => {
  const missing = (load: () => unknown, platform = 'linux') => {
    const loaded = loadLibc(load, platform);
    return 'missing' in loaded ? loaded.missing : undefined;
  };
  assert.equal(missing(throwing(new Error('no such module\nRequire stack: x'))), 'no such module');
  assert.equal(missing(throwing('odd')), 'odd');
  assert.equal(missing(throwing(new Error(''))), 'koffi does not load');
  assert.match(missing(() => undefined) ?? '', /undefined/);
  assert.match(missing(() => ({})) ?? '', /load/);
  const wrongLibrary = () => ({ load: () => ({ func: throwing(new Error('no setsockopt')) }) });
  assert.equal(missing(wrongLibrary), 'no setsockopt');
  assert.equal(missing(throwing(new Error('never asked')), 'darwin'), 'not on darwin');
});

test('a C library without malloc_trim has the rest', () => {
  const func = (prototype: string) => {
    if (prototype.includes('malloc_trim')) throw new Error('no such symbol');
    return () => 0;
  };
  const loaded = loadLibc(() => ({ load: () => ({ func }) }), 'linux');
  assert.ok('libc' in loaded);
  assert.equal(loaded.libc.trimMemory, undefined);
  assert.equal(loaded.libc.setOption(1, 1, 10, 1), true);
});

test('a refusal of the system is an answer', () => {
  const loaded = libcLoaded();
  if ('missing' in loaded) {
    assert.notEqual(loaded.missing, '');
    return;
  }
  assert.equal(loaded.libc.setOption(-1, 1, 10, 1), false);
  assert.equal(loaded.libc.getOption(-1, 6, 11, new Uint8Array(4)), -1);
  loaded.libc.trimMemory?.();
});

test('a socket without a descriptor is neither set nor silent', () => {
  const socket = new Socket();
  assert.equal(carryUrgentInline(socket), false);
  assert.equal(isSilent(socket, 0), false);
});

test('the command line loads nothing native until a node runs', {
  skip: process.platform !== 'linux' && 'reads /proc',
}, () => {
  const program = fileURLToPath(
    new URL('../../../packages/routy/src/cli/program.ts', import.meta.url),
  );
  const script = `await import(${JSON.stringify(program)});
    const { readFileSync } = await import('node:fs');
    console.log(readFileSync('/proc/self/maps', 'utf8').includes('koffi'));`;
  const args = ['--import', 'tsx', '--input-type=module', '-e', script];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8' }).trim(), 'false');
});
