import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, type Log } from '../../../packages/routy/src/observe/log.ts';
import { redactFields, redactText } from '../../../packages/routy/src/observe/redact.ts';

interface Line {
  readonly level: string;
  readonly event: string;
  readonly msg: string;
  readonly [name: string]: unknown;
}

function logged(use: (log: Log) => void): Line[] {
  const lines: string[] = [];
  const log = createLog({ level: 'info', format: 'json', stream: { write: (s) => lines.push(s) } });
  use(log);
  log.close();
  return lines.map((line) => JSON.parse(line) as Line);
}

test('a line carries level, time, event, message and fields', () => {
  const [line] = logged((log) =>
    log.info('session-up', 'session with gray/gray1', { peer: 'gray/gray1' }),
  );
  assert.equal(line?.level, 'info');
  assert.equal(line?.event, 'session-up');
  assert.equal(line?.msg, 'session with gray/gray1');
  assert.equal(line?.peer, 'gray/gray1');
  assert.match(String(line?.time), /^\d{4}-\d\d-\d\dT/);
});

test('the level decides, and may change while running', () => {
  const lines = logged((log) => {
    log.debug('a', 'not written');
    log.setLevel('debug');
    assert.equal(log.level(), 'debug');
    log.debug('b', 'written');
    log.setLevel('error');
    log.warn('c', 'not written');
  });
  assert.deepEqual(
    lines.map((line) => line.event),
    ['b'],
  );
});

test('a repeated failure is written once and then counted', () => {
  const lines = logged((log) => {
    for (let attempts = 1; attempts <= 5; attempts++) {
      log.failure('dial-failed', 'cannot dial', { code: 'refused', attempts, delayMs: attempts });
    }
    log.failure('dial-failed', 'cannot dial', { code: 'timeout' });
  });
  assert.deepEqual(
    lines.map((line) => [line.code, line.repeated]),
    [
      ['refused', undefined],
      ['timeout', undefined],
      ['refused', 4],
    ],
  );
  assert.equal(lines[2]?.attempts, 5);
});

test('no secret reaches the log, by name or by content', () => {
  const lines = logged((log) =>
    log.warn('x', 'bad line routy-join-1:abcDEF.123', {
      secret: 'hunter2',
      url: 'socks5://me:hunter2@proxy:1080',
      nested: { password: 'hunter2', list: ['http://a:hunter2@b/'] },
      error: new Error('from http://a:hunter2@b/'),
    }),
  );
  const text = JSON.stringify(lines);
  assert.doesNotMatch(text, /hunter2|abcDEF/);
  assert.match(text, /proxy:1080/);
});

test('redaction takes out private keys and leaves the rest', () => {
  const pem = '-----BEGIN EC PRIVATE KEY-----\nMIIabc\n-----END EC PRIVATE KEY-----';
  assert.equal(redactText(`key ${pem} end`), 'key [redacted] end');
  assert.equal(redactText('gray:7443 refused'), 'gray:7443 refused');
  assert.deepEqual(redactFields({ a: 1, b: undefined, c: null, keyPem: 'x' }), {
    a: 1,
    c: null,
    keyPem: '[redacted]',
  });
});
