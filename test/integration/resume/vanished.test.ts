import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { acceptedExchanges } from '../../support/tcp-tools/exchange.ts';
import { dial, until } from '../../support/sockets/loopback.ts';
import { startResumeLab, startStream, untilBoth } from './resume-lab.ts';

test('clients that reset while the session is suspended never reach the target', async (t) => {
  const lab = await startResumeLab(t, { sendBytes: 100, fabric: { resume_time: '"60s"' } });
  lab.proxy.refuse();
  await lab.proxy.cut({ how: 'close' });
  await until('the session waits', () => lab.gray.peer()?.state === 'suspended');
  const request = Buffer.alloc(512 * 1024, 'INCR n\r\n');
  for (let i = 0; i < 20; i++) {
    const client = dial(lab.forward);
    await once(client, 'connect');
    // More than is taken while there is no lane, so that the socket is not read in the end.
    client.write(request, () => client.resetAndDestroy());
    await once(client, 'close');
  }
  await until('their streams have ended', () => lab.gray.forward('red/exchange').streams === 0);
  await lab.proxy.accept();
  await until('the session goes on', () => lab.gray.peer()?.state === 'up');
  // What was opened before would have come out before this.
  const ends = await startStream(lab, { sendBytes: 100 });
  await untilBoth(ends, 100);
  assert.equal(acceptedExchanges({ port: lab.targetPort }).length, 1);
});
