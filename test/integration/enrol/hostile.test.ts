import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { joinFabric } from '../../../packages/routy/src/enrol/enrol-join.ts';
import { MESSAGE_BYTES_MAX } from '../../../packages/routy/src/enrol/enrol-protocol.ts';
import { createInvite } from '../../../packages/routy/src/enrol/invite.ts';
import { createCsr } from '../../../packages/routy/src/pki/csr.ts';
import { generateKeyPem } from '../../../packages/routy/src/pki/key.ts';
import { statePaths } from '../../../packages/routy/src/pki/state.ts';
import {
  connectStranger,
  encodeMessage,
  readMessages,
  rejection,
  SHORT_STEP_MS,
  startFabric,
  temporaryDirectory,
} from '../../support/nodes/enrol-lab.ts';

const ID = 'A'.repeat(22);
const PROOF = 'A'.repeat(43);

test('every kind of garbage is refused with its reason, and the next newcomer joins', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const csr = await createCsr(generateKeyPem(), { node: 'red1', site: 'red' });
  const join1 = { type: 'join', id: ID, csr: csr.toString('base64url'), proof: PROOF };
  const tooLong = Buffer.alloc(4);
  tooLong.writeUInt32BE(MESSAGE_BYTES_MAX + 1);
  const cases: [string, Buffer, string][] = [
    ['an announced gigabyte', Buffer.from([0x40, 0, 0, 0]), 'enrol-message-too-long'],
    ['one byte too many', tooLong, 'enrol-message-too-long'],
    ['a flood', Buffer.alloc(1_000_000, ' '), 'enrol-message-too-long'],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: gray\r\n\r\n'), 'enrol-message-too-long'],
    ['no JSON', encodeMessage('{"type":'), 'enrol-message-broken'],
    ['nothing', encodeMessage(''), 'enrol-message-broken'],
    ['a list', encodeMessage([]), 'enrol-message-broken'],
    ['null', encodeMessage(null), 'enrol-message-broken'],
    ['another type', encodeMessage({ type: 'adopt' }), 'enrol-message-broken'],
    ['no fields', encodeMessage({ type: 'join' }), 'enrol-message-broken'],
    ['a number for text', encodeMessage({ ...join1, id: 7 }), 'enrol-message-broken'],
    ['no request', encodeMessage({ ...join1, csr: '' }), 'csr-broken'],
    ['half a request', encodeMessage({ ...join1, csr: join1.csr.slice(0, 99) }), 'csr-broken'],
    ['an unknown invite', encodeMessage(join1), 'invite-unknown'],
    ['a path', encodeMessage({ ...join1, id: '../../ca' }), 'invite-unknown'],
  ];
  for (const [what, bytes, code] of cases) {
    const socket = await connectStranger(t, fabric.address);
    socket.write(bytes);
    const [answer] = await readMessages(socket);
    assert.equal(answer?.type, 'refused', what);
    assert.equal(answer?.code, code, what);
    await fabric.events.refusal(code);
  }
  const { line } = await createInvite({
    stateDir: fabric.stateDir,
    site: 'red',
    addresses: [fabric.address],
  });
  await joinFabric({ line, stateDir: join(directory, 'newcomer'), node: 'red1' });
});

test('a byte now and then does not hold the connection', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory, { stepMs: SHORT_STEP_MS });
  const socket = await connectStranger(t, fabric.address);
  const bytes = encodeMessage({ type: 'join', id: ID, csr: '', proof: PROOF });
  let at = 0;
  // Slow enough that the whole message would take far longer than the deadline.
  const dripping = setInterval(() => {
    if (at < bytes.length && socket.writable) socket.write(bytes.subarray(at, ++at));
  }, SHORT_STEP_MS / 10);
  t.after(() => clearInterval(dripping));
  const [answer] = await readMessages(socket);
  assert.equal(answer?.code, 'enrol-timeout');
  assert.ok(at < bytes.length);
  await fabric.events.refusal('enrol-timeout');
});

test('a client that neither reads on nor leaves is cut off', { timeout: 30_000 }, async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory, { stepMs: SHORT_STEP_MS });
  const socket = await connectStranger(t, fabric.address);
  socket.pause();
  socket.write(Buffer.alloc(8, 0xff));
  await fabric.events.refusal('enrol-message-too-long');
  await fabric.idle();
  assert.equal(socket.destroyed, false);
});

test('a client that hangs up is logged, however early', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  for (const bytes of [Buffer.alloc(0), Buffer.from([0, 0]), Buffer.from([0, 0, 1, 0, 0x7b])]) {
    const socket = await connectStranger(t, fabric.address);
    socket.write(bytes);
    socket.end();
    await fabric.events.refusal('enrol-lost');
  }
});

test("a fault of the CA's node is told without its file names, and burns no invite", async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { stateDir, address, events } = fabric;
  const { line, id } = await createInvite({ stateDir, site: 'red', addresses: [address] });
  const { caCert, invites } = statePaths(stateDir);
  await writeFile(caCert, 'broken');
  const attempt = joinFabric({ line, stateDir: join(directory, 'newcomer'), node: 'red1' });
  const error = await rejection(attempt, 'enrol-failed');
  assert.equal(error.message.includes(directory), false);
  await events.refusal('certificate-broken');
  assert.deepEqual(await readdir(invites), [`${id}.json`]);
});
