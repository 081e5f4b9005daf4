import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenRequest } from '../../../../packages/link/src/driver/driver-types.ts';
import { AsyncByteStream } from '../../../../packages/link/src/streams/adapters/async-byte-stream.ts';
import type { Agreement } from '../../../../packages/proto/src/wire/payload.ts';
import { sessionPair } from './session-pair.ts';

const REQUEST: OpenRequest = {
  protocol: 'queue',
  versions: [1, 2],
  capabilities: ['checksums', 'ranges'],
  service: 'orders',
};

test('the acceptor sees what is offered, and the opener what was picked, before any byte', async () => {
  const picked: Agreement = { version: 2, capabilities: ['ranges'] };
  const heard: string[] = [];
  const pair = await sessionPair('memory', (stream) => {
    assert.deepEqual(stream.request, REQUEST);
    const taken = new AsyncByteStream();
    assert.throws(() => stream.accept(taken.receiver, { version: 3, capabilities: [] }), {
      name: 'RangeError',
      message: 'queue: version 3 was not offered: versions 1, 2 were',
    });
    stream.accept(taken.receiver, picked);
    void taken.write(Buffer.from('hello'));
  });
  const opened = new AsyncByteStream();
  const agreed = new Promise<Agreement>((resolve) => {
    const onAccepted = (agreement: Agreement): void => {
      heard.push('accepted');
      resolve(agreement);
    };
    pair.dialler.open(REQUEST, opened.receiver, { onAccepted, answerMs: 60_000 });
  });
  for await (const chunk of opened) {
    heard.push(new TextDecoder().decode(chunk));
    break;
  }
  assert.deepEqual(await agreed, picked);
  assert.deepEqual(heard, ['accepted', 'hello']);
  await pair.close();
});

test('a request that no peer would take is an error of the call, not of the session', async () => {
  const pair = await sessionPair('memory');
  const handlers = { onAccepted: () => undefined, answerMs: 60_000 };
  const open = (changes: Partial<OpenRequest>): void => {
    pair.dialler.open({ ...REQUEST, ...changes }, new AsyncByteStream().receiver, handlers);
  };
  assert.throws(() => open({ versions: [0] }), /^RangeError: .* OPEN versions is not an integer/);
  assert.throws(() => open({ protocol: '' }), /OPEN protocol is not a name/);
  assert.throws(() => open({ service: 'x'.repeat(256) }), /OPEN service is not a text/);
  const capabilities = Array.from({ length: 64 }, (_, i) => `${i}`.padStart(64, 'x'));
  assert.throws(() => open({ capabilities }), /OPEN has \d+ bytes, at most 4096/);
  assert.ok((await pair.dialler.ping()).rttMs >= 0);
  await pair.close();
});
