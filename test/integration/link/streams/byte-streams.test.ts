import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, it, test } from 'node:test';
import { StreamDuplex } from '../../../../packages/link/src/streams/adapters/stream-duplex.ts';
import { byteStreamChecks } from '../../../../packages/link/src/testing/byte-stream-checks.ts';
import {
  asyncEnd,
  duplexEnd,
  iteratorEnd,
  messageEnd,
  nativeSocketEnd,
  socketEnd,
  webEnd,
} from './adapter-ends.ts';
import { planeMissing } from '../../../support/linux/native-plane.ts';
import { type SessionPair, STREAM_WINDOW, sessionPair } from './session-pair.ts';

/** Two windows in the session; what two sockets and their kernels hold comes on top. */
const IN_PROCESS_BYTES_MAX = 3 * STREAM_WINDOW;
const SOCKETS_BYTES_MAX = 32 * STREAM_WINDOW;

const inProcess = { hasCodes: true, pendingBytesMax: IN_PROCESS_BYTES_MAX };
const sockets = { hasCodes: false, pendingBytesMax: SOCKETS_BYTES_MAX };

const ADAPTERS = {
  promises: { make: () => asyncEnd(), ...inProcess },
  'an async iterator': { make: iteratorEnd, ...inProcess },
  'web streams': { make: webEnd, ...inProcess },
  messages: { make: messageEnd, ...inProcess },
  'a Duplex': { make: duplexEnd, ...inProcess },
  'a socket': { make: () => socketEnd('target'), ...sockets },
  ...(planeMissing === undefined && {
    'a native socket': { make: () => nativeSocketEnd('target'), ...sockets },
  }),
};

for (const over of ['memory', 'tls'] as const) {
  for (const [name, adapter] of Object.entries(ADAPTERS)) {
    describe(`${name} over ${over}`, () => {
      let pair: SessionPair;
      before(async () => {
        pair = await sessionPair(over);
      });
      after(() => pair.close());
      for (const check of byteStreamChecks({
        ...adapter,
        join: (opener, acceptor) => pair.join(opener, acceptor),
      })) {
        it(check.name, { timeout: 60_000 }, () => check.run());
      }
      it('leaves no stream behind', async () => {
        const streams = () => pair.dialler.stats().streams + pair.acceptor.stats().streams;
        for (let n = 0; n < 500 && streams() > 0; n++) await new Promise((r) => setTimeout(r, 10));
        assert.equal(streams(), 0);
      });
    });
  }
}

test('20 MB go to an echo over TLS and come back, with a half-close', async () => {
  const pair = await sessionPair('tls');
  const [opener, acceptor] = [new StreamDuplex(), new StreamDuplex()];
  await pair.join(opener.receiver, acceptor.receiver);
  const sent = randomBytes(20_000_000);
  const back = createHash('sha256');
  const echoed = pipeline(acceptor, acceptor);
  opener.on('data', (chunk: Uint8Array) => back.update(chunk));
  opener.end(sent);
  await new Promise((resolve, reject) => opener.on('end', resolve).on('error', reject));
  await echoed;
  assert.equal(back.digest('hex'), createHash('sha256').update(sent).digest('hex'));
  await pair.close();
});
