import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidArgumentError } from 'commander';
import { failureText, usageError } from '../../../packages/routy/src/cli/output.ts';
import {
  collect,
  readAddress,
  readCount,
  readDestination,
  readForward,
  readName,
  readPeer,
  readService,
  readTcp,
} from '../../../packages/routy/src/cli/parse.ts';

test('values are read as they will stand in the file', () => {
  assert.equal(readName('red-1'), 'red-1');
  assert.deepEqual(readTcp('[::1]:7443'), { kind: 'tcp', host: '::1', port: 7443 });
  assert.deepEqual(readService('pg=127.0.0.1:5432'), { name: 'pg', target: '127.0.0.1:5432' });
  assert.deepEqual(readService('app=unix:/run/a=b.sock'), {
    name: 'app',
    target: 'unix:/run/a=b.sock',
  });
  assert.deepEqual(readForward('unix:/run/a=b.sock=gray/pg'), {
    listen: 'unix:/run/a=b.sock',
    to: 'gray/pg',
  });
  assert.equal(readPeer('gray/gray1'), 'gray/gray1');
  assert.equal(readCount(10)('10'), 10);
  assert.deepEqual(collect(readName)('b', collect(readName)('a')), ['a', 'b']);
});

test('values that cannot be meant are refused', () => {
  const cases: [(text: string) => unknown, string][] = [
    [readName, 'Red'],
    [readName, ''],
    [readTcp, 'gray'],
    [readTcp, 'unix:/run/a.sock'],
    [readAddress, 'unix:run'],
    [readService, 'pg'],
    [readService, '=127.0.0.1:1'],
    [readForward, '127.0.0.1:1'],
    [readForward, '127.0.0.1:1=gray'],
    [readDestination, 'gray/pg/x'],
    [readPeer, 'gray/'],
    [readCount(10), '0'],
    [readCount(10), '11'],
    [readCount(10), '1.5'],
    [readCount(10), '1e1'],
  ];
  for (const [read, text] of cases) {
    assert.throws(() => read(text), InvalidArgumentError, `${read.name} ${text}`);
  }
});

test('a failure is a message and a hint; only a defect shows a stack', () => {
  assert.equal(
    failureText(usageError('too much', 'take less')),
    'routy: too much\n  hint: take less\n',
  );
  assert.match(failureText(new TypeError('x is undefined')), /internal error: TypeError[\s\S]+at /);
});
