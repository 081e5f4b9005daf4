import assert from 'node:assert/strict';
import { readdir, readFile, rename } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatHostPort } from '../../../packages/proto/src/base/address.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { joinFabric } from '../../../packages/routy/src/enrol/enrol-join.ts';
import {
  createInvite,
  INVITE_TTL_MS,
  joinProof,
  redeemInvite,
  WRONG_PROOFS_MAX,
} from '../../../packages/routy/src/enrol/invite.ts';
import { formatJoinLine, parseJoinLine } from '../../../packages/routy/src/enrol/join-line.ts';
import { issueCertificate, openCa } from '../../../packages/routy/src/pki/ca/ca.ts';
import { createCsr, verifyCsr } from '../../../packages/routy/src/pki/csr.ts';
import { generateKeyPem, publicKeyDer } from '../../../packages/routy/src/pki/key.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import { statePaths } from '../../../packages/routy/src/pki/state.ts';
import {
  type Fabric,
  refusingAddress,
  rejection,
  SHORT_STEP_MS,
  silentAddress,
  startEnrolmentServer,
  startFabric,
  temporaryDirectory,
} from '../../support/nodes/enrol-lab.ts';

const DAY_MS = 86_400_000;

function invite(fabric: Fabric, options: { node?: string; replace?: boolean } = {}) {
  const { stateDir, address } = fabric;
  return createInvite({ stateDir, site: 'red', addresses: [address], ...options });
}

/** The same line with some of its fields changed. */
function changed(line: string, change: Partial<ReturnType<typeof parseJoinLine>>): string {
  return formatJoinLine({ ...parseJoinLine(line), ...change });
}

test('a newcomer joins with one line', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line } = await invite(fabric);
  const stateDir = join(directory, 'newcomer');
  const joined = await joinFabric({ line, stateDir, node: 'red1' });
  assert.deepEqual(joined.identity, { fabric: 'lab', site: 'red', node: 'red1' });
  assert.deepEqual(joined.addresses, [fabric.address]);
  const credentials = await loadCredentials(stateDir);
  assert.deepEqual(credentials.identity, joined.identity);
  assert.equal(credentials.caPem, (await openCa(fabric.stateDir, Date.now())).certificatePem);
  const event = await fabric.events.next();
  assert.equal(event.kind, 'enrolled');
  assert.equal(event.node, 'red1');
  assert.equal(event.serial, joined.serial);
  const second = joinFabric({ line, stateDir, node: 'red1' });
  await rejection(second, 'already-enrolled');
  assert.deepEqual((await readdir(stateDir)).sort(), ['ca.crt', 'node.crt', 'node.key']);
});

test('a replayed line is refused, on both ends with the reason', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line, id } = await invite(fabric);
  await joinFabric({ line, stateDir: join(directory, 'one'), node: 'red1' });
  assert.equal((await fabric.events.next()).kind, 'enrolled');
  const replay = joinFabric({ line, stateDir: join(directory, 'two'), node: 'red2' });
  const error = await rejection(replay, 'invite-used');
  assert.match(error.hint ?? '', /routy invite/);
  await fabric.events.refusal('invite-used');
  const left = await readdir(statePaths(fabric.stateDir).invites);
  assert.deepEqual(left, [`${id}.used`]);
});

test('an expired line is refused by the clock of the CA, and so is an unknown one', async (t) => {
  const directory = await temporaryDirectory(t);
  const startMs = Date.now();
  let aheadMs = 0;
  const fabric = await startFabric(t, directory, { now: () => startMs + aheadMs });
  const { line } = await invite(fabric);
  const attempt = (text: string): Promise<unknown> =>
    joinFabric({ line: text, stateDir: join(directory, 'newcomer'), node: 'red1' });
  const unknown = attempt(changed(line, { id: 'A'.repeat(22) }));
  await rejection(unknown, 'invite-unknown');
  await fabric.events.refusal('invite-unknown');
  aheadMs = INVITE_TTL_MS + 60_000;
  await rejection(attempt(line), 'invite-expired');
  await fabric.events.refusal('invite-expired');
  aheadMs = 0;
  await attempt(line);
});

test('two that race for one line: one wins, the other is told', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line } = await invite(fabric);
  const results = await Promise.allSettled(
    ['red1', 'red2', 'red3', 'red4'].map((node) =>
      joinFabric({ line, stateDir: join(directory, node), node }),
    ),
  );
  const codes = results.map((result) => {
    if (result.status === 'fulfilled') return 'joined';
    return result.reason instanceof RoutyError ? result.reason.code : String(result.reason);
  });
  assert.deepEqual(codes.sort(), ['invite-used', 'invite-used', 'invite-used', 'joined']);
});

test('a wrong secret does not burn the line, but five of them end it', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const attempt = (text: string, node: string): Promise<unknown> =>
    joinFabric({ line: text, stateDir: join(directory, node), node });
  const spared = await invite(fabric);
  const wrong = { secret: 'A'.repeat(43) };
  await rejection(attempt(changed(spared.line, wrong), 'red1'), 'proof-wrong');
  await fabric.events.refusal('proof-wrong');
  await attempt(spared.line, 'red1');
  assert.equal((await fabric.events.next()).kind, 'enrolled');

  const guessed = await invite(fabric);
  for (let count = 0; count < WRONG_PROOFS_MAX; count++) {
    await rejection(attempt(changed(guessed.line, wrong), 'red2'), 'proof-wrong');
    await fabric.events.refusal('proof-wrong');
  }
  await rejection(attempt(guessed.line, 'red2'), 'invite-blocked');
  await fabric.events.refusal('invite-blocked');
});

test('a proof made for another connection or request is worth nothing', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line, id } = await invite(fabric);
  const { secret } = parseJoinLine(line);
  const csr = await verifyCsr(await createCsr(generateKeyPem(), { node: 'red1', site: 'red' }));
  const other = await createCsr(generateKeyPem(), { node: 'red1', site: 'red' });
  const exporter = Buffer.alloc(32, 1);
  const attempt = (proof: Buffer): ReturnType<typeof redeemInvite> => {
    const { stateDir } = fabric;
    return redeemInvite({ stateDir, id, csr, exporter, proof, nowMs: Date.now() });
  };
  await rejection(attempt(joinProof(secret, csr.der, Buffer.alloc(32, 2))), 'proof-wrong');
  await rejection(attempt(joinProof(secret, other, exporter)), 'proof-wrong');
  await rejection(attempt(Buffer.alloc(0)), 'proof-wrong');
  const redeemed = await attempt(joinProof(secret, csr.der, exporter));
  assert.deepEqual([redeemed.site, redeemed.node, redeemed.replace], ['red', 'red1', false]);
  await rejection(attempt(joinProof(secret, csr.der, exporter)), 'invite-used');
  await redeemed.release();
  await attempt(joinProof(secret, csr.der, exporter));
});

test('another CA than the pinned one learns nothing', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const impostorDir = join(directory, 'impostor');
  await initFabric({ stateDir: impostorDir, fabric: 'lab', site: 'gray', node: 'gray1' });
  const impostor = await startEnrolmentServer(t, impostorDir);
  const { line } = await invite(fabric);
  const stateDir = join(directory, 'newcomer');
  const diverted = changed(line, { addresses: [impostor.address] });
  const error = await rejection(
    joinFabric({ line: diverted, stateDir, node: 'red1' }),
    'pin-mismatch',
  );
  assert.match(error.hint ?? '', /nothing was sent/);
  // The impostor saw the connection end, not a message.
  await impostor.events.refusal('enrol-lost');
  // One that shows the real CA beside a certificate of its own fares no better.
  const { keyPem, certChainPem } = await loadCredentials(impostorDir);
  const { caPem } = await loadCredentials(fabric.stateDir);
  const ownLeaf = certChainPem.slice(0, certChainPem.indexOf('-----END') + 26);
  const patched = await startEnrolmentServer(t, impostorDir, {
    shown: { cert: ownLeaf + caPem, key: keyPem },
  });
  const again = changed(line, { addresses: [patched.address] });
  await rejection(joinFabric({ line: again, stateDir, node: 'red1' }), 'pin-mismatch');
  await patched.events.refusal('enrol-lost');
  // The right address is still tried after the wrong one.
  const both = changed(line, { addresses: [impostor.address, fabric.address] });
  const joined = await joinFabric({ line: both, stateDir, node: 'red1' });
  assert.deepEqual(joined.address, fabric.address);
});

test('an expired certificate of the inviting node is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const ca = await openCa(fabric.stateDir, Date.now());
  const key = generateKeyPem();
  const expired = await issueCertificate(ca, {
    site: 'gray',
    node: 'gray2',
    spki: publicKeyDer(key),
    replace: false,
    nowMs: Date.now(),
    lifetimeMs: -60_000,
  });
  const server = await startEnrolmentServer(t, fabric.stateDir, {
    shown: { cert: expired.chainPem, key },
  });
  const line = changed((await invite(fabric)).line, { addresses: [server.address] });
  const stateDir = join(directory, 'newcomer');
  const error = await rejection(
    joinFabric({ line, stateDir, node: 'red1' }),
    'certificate-expired',
  );
  assert.match(error.hint ?? '', /clock/);
  await server.events.refusal('enrol-lost');
});

test('names: the line may fix the node, and the CA keeps them apart', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const attempt = (line: string, dir: string, node?: string): Promise<{ identity: unknown }> =>
    joinFabric({ line, stateDir: join(directory, dir), node });
  const open = await invite(fabric);
  await rejection(attempt(open.line, 'a'), 'node-name-missing');
  await rejection(attempt(open.line, 'a', 'Red 1'), 'name-invalid');
  const fixed = await invite(fabric, { node: 'red1' });
  await rejection(attempt(fixed.line, 'a', 'red2'), 'node-name-mismatch');
  await fabric.events.refusal('node-name-mismatch');
  const { identity } = await attempt(fixed.line, 'a');
  assert.deepEqual(identity, { fabric: 'lab', site: 'red', node: 'red1' });
  await fabric.events.next();
  const elsewhere = changed(open.line, { site: 'blue' });
  await rejection(attempt(elsewhere, 'b', 'red2'), 'site-mismatch');
  await fabric.events.refusal('site-mismatch');

  // A refused name leaves the line good for a better one.
  const error = await rejection(attempt(open.line, 'b', 'red1'), 'node-name-taken');
  assert.match(error.hint ?? '', /--replace/);
  await fabric.events.refusal('node-name-taken');
  await attempt(open.line, 'b', 'red2');
  await fabric.events.next();
  const takeover = await invite(fabric, { replace: true });
  await attempt(takeover.line, 'c', 'red1');
});

test('a node whose answer was lost joins again under its name', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const stateDir = join(directory, 'newcomer');
  await joinFabric({ line: (await invite(fabric)).line, stateDir, node: 'red1' });
  const { nodeCert, nodeKey } = statePaths(stateDir);
  const key = await readFile(nodeKey, 'utf8');
  await rename(nodeCert, `${nodeCert}.lost`);
  await joinFabric({ line: (await invite(fabric)).line, stateDir, node: 'red1' });
  assert.equal(await readFile(nodeKey, 'utf8'), key);
});

test("a CA's node does not join, and a node without CA neither invites nor admits", async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line } = await invite(fabric);
  await rejection(joinFabric({ line, stateDir: fabric.stateDir, node: 'x' }), 'is-ca-node');
  const stateDir = join(directory, 'red1');
  await joinFabric({ line, stateDir, node: 'red1' });
  const plain = await startEnrolmentServer(t, stateDir);
  await rejection(createInvite({ stateDir, site: 'red', addresses: [plain.address] }), 'not-ca');
  const next = await invite(fabric);
  const astray = changed(next.line, { addresses: [plain.address] });
  const newcomer = { stateDir: join(directory, 'red2'), node: 'red2' };
  await rejection(joinFabric({ line: astray, ...newcomer }), 'not-ca');
  await plain.events.refusal('not-ca');
  // Another node of the fabric passes the pin; the CA's own address is tried after it.
  const both = changed(next.line, { addresses: [plain.address, fabric.address] });
  assert.deepEqual((await joinFabric({ line: both, ...newcomer })).address, fabric.address);
});

test('addresses that do not answer are passed over, and named when none does', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line } = await invite(fabric);
  const [closed, silent] = [await refusingAddress(), await silentAddress(t)];
  const stateDir = join(directory, 'newcomer');
  const attempt = (addresses: (typeof closed)[], stepMs?: number): Promise<unknown> => {
    const text = changed(line, { addresses });
    const options = stepMs === undefined ? {} : { stepMs };
    return joinFabric({ line: text, stateDir, node: 'red1', ...options });
  };
  await rejection(attempt([closed]), 'enrol-unreachable');
  const error = await rejection(attempt([closed, silent], SHORT_STEP_MS), 'enrol-timeout');
  for (const { host, port } of [closed, silent]) {
    assert.ok(error.message.includes(formatHostPort(host, port)), error.message);
  }
  await attempt([closed, fabric.address]);
});

test('a dialler that is handed in is used for every address, also after a failure', async (t) => {
  const directory = await temporaryDirectory(t);
  const fabric = await startFabric(t, directory);
  const { line } = await invite(fabric);
  const inside = { kind: 'tcp', host: 'gray.invalid', port: 7443 } as const;
  const inner = changed(line, { addresses: [{ ...inside, port: 7442 }, inside] });
  const asked: string[] = [];
  const joined = await joinFabric({
    line: inner,
    stateDir: join(directory, 'newcomer'),
    node: 'red1',
    dialTcp: async ({ host, port }) => {
      asked.push(formatHostPort(host, port));
      if (port === 7442) throw new RoutyError('proxy-refused', 'the proxy refused');
      return connect(fabric.address.port, fabric.address.host);
    },
  });
  assert.deepEqual(asked, ['gray.invalid:7442', 'gray.invalid:7443']);
  assert.equal(joined.identity.node, 'red1');
});

test('an invite needs an address and good names', async (t) => {
  const stateDir = await temporaryDirectory(t);
  await initFabric({ stateDir, site: 'gray', node: 'gray1' });
  const address = { kind: 'tcp', host: 'gray.example', port: 7443 } as const;
  const error = await rejection(
    createInvite({ stateDir, site: 'red', addresses: [] }),
    'invite-no-address',
  );
  assert.match(error.hint ?? '', /routy adopt/);
  await rejection(createInvite({ stateDir, site: 'R', addresses: [address] }), 'name-invalid');
  const made = await createInvite({ stateDir, site: 'red', addresses: [address], ttlMs: 1000 });
  assert.equal(made.line.includes('"'), false);
  const left = parseJoinLine(made.line).expiresMs - Date.now();
  assert.ok(left > 0 && left <= 1000, `${left}`);
  // Kept for a week, to tell "used" and "expired" from "unknown"; then swept.
  const now = (): number => Date.now() + 8 * DAY_MS;
  const later = await createInvite({ stateDir, site: 'red', addresses: [address], now });
  assert.deepEqual(await readdir(statePaths(stateDir).invites), [`${later.id}.json`]);
});
