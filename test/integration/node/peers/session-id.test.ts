import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startSession } from '../../../../packages/link/src/driver/session-driver.ts';
import { formatAddress } from '../../../../packages/proto/src/base/address.ts';
import {
  credentials,
  forward,
  LabNode,
  LISTEN,
  peerTo,
  service,
} from '../../../support/nodes/node-lab.ts';
import { echo, serve, talk, until } from '../../../support/sockets/loopback.ts';

test('a node that names the id of a session which its peer dialled elsewhere is refused', async (t) => {
  const target = await serve(echo);
  t.after(() => target.close());
  const offer = service('db', formatAddress(target.address), 'red');
  const gray = await LabNode.start(await credentials('gray'), LISTEN + offer);
  t.after(() => gray.stop());
  const red = await LabNode.start(
    await credentials('red'),
    LISTEN + peerTo(gray) + forward('127.0.0.1:0', 'gray/db'),
  );
  t.after(() => red.stop());
  const address = await red.reach('gray/db');
  const { id } = red.peer()!.session!;
  const blue = await LabNode.start(
    await credentials('blue'),
    peerTo(red),
    '3s',
    (options, handlers) => startSession({ ...options, sessionId: id }, handlers),
  );
  t.after(() => blue.stop());
  await until('blue is refused', () => blue.peer()?.state === 'refused');
  assert.match(blue.peer()!.reason!, /belongs to another process/);
  const refusal = red.lines.find(({ event }) => event === 'lane-refused');
  assert.equal(refusal?.code, 'not-authorized');
  await blue.stop();
  assert.equal((await talk(address, 'hello')).data.toString(), 'hello');
  assert.equal((await red.running.ping('gray', 1)).length, 1);
});
