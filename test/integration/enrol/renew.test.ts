import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, cp, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { joinFabric } from '../../../packages/routy/src/enrol/enrol-join.ts';
import {
  RENEWAL_GRACE_MS,
  renewOnline,
  renewOwn,
} from '../../../packages/routy/src/enrol/enrol-renew.ts';
import { createInvite } from '../../../packages/routy/src/enrol/invite.ts';
import { readJournal } from '../../../packages/routy/src/pki/ca/journal.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import {
  installCertificate,
  issueFromCsr,
  requestCertificate,
} from '../../../packages/routy/src/pki/node/offline.ts';
import { statePaths } from '../../../packages/routy/src/pki/state.ts';
import {
  type EnrolmentServer,
  rejection,
  startEnrolmentServer,
  temporaryDirectory,
} from '../../support/nodes/enrol-lab.ts';

const DAY_MS = 86_400_000;

interface Lab {
  readonly caDir: string;
  readonly nodeDir: string;
  readonly server: EnrolmentServer;
  /** Moves both clocks. */
  setAgeDays(days: number): void;
  renew(newKey?: boolean): ReturnType<typeof renewOnline>;
}

/** gray1 with the CA, and red1 that joined over its listener. */
async function lab(t: TestContext): Promise<Lab> {
  const directory = await temporaryDirectory(t);
  const [caDir, nodeDir] = [join(directory, 'ca'), join(directory, 'node')];
  const startMs = Date.now();
  let ageMs = 0;
  const now = (): number => startMs + ageMs;
  await initFabric({ stateDir: caDir, fabric: 'lab', site: 'gray', node: 'gray1' });
  const server = await startEnrolmentServer(t, caDir, { now });
  const addresses = [server.address];
  const { line } = await createInvite({ stateDir: caDir, site: 'red', addresses });
  await joinFabric({ line, stateDir: nodeDir, node: 'red1' });
  await server.events.next();
  return {
    caDir,
    nodeDir,
    server,
    setAgeDays: (days) => {
      ageMs = days * DAY_MS;
    },
    // The listener's own certificate is of day 0, so the asking node keeps to that day.
    renew: (newKey) => renewOnline({ stateDir: nodeDir, addresses, newKey }),
  };
}

test('a node renews over the network with the key it has, or with a new one', async (t) => {
  const { nodeDir, renew, server } = await lab(t);
  const before = await loadCredentials(nodeDir);
  const renewed = await renew();
  assert.deepEqual(renewed.identity, before.identity);
  const same = await loadCredentials(nodeDir);
  assert.notEqual(same.certChainPem, before.certChainPem);
  assert.equal(same.keyPem, before.keyPem);
  await renew(true);
  const other = await loadCredentials(nodeDir);
  assert.notEqual(other.keyPem, before.keyPem);
  assert.deepEqual(other.identity, before.identity);
  assert.equal(existsSync(statePaths(nodeDir).nextKey), false);
  for (let times = 0; times < 2; times += 1) {
    assert.equal((await server.events.next()).kind, 'enrolled');
  }
});

test('a certificate that has ended gets its node a new one for a month', async (t) => {
  const { nodeDir, renew, setAgeDays, server } = await lab(t);
  const days = RENEWAL_GRACE_MS / DAY_MS;
  setAgeDays(365 + days + 1);
  const late = await rejection(renew(), 'renewal-too-late');
  assert.match(late.hint ?? '', /routy cert request/);
  await server.events.refusal('renewal-too-late');
  setAgeDays(365 + days - 1);
  // Issued in the future of this node, whose clock stands: it says so and keeps what it has.
  const before = await loadCredentials(nodeDir);
  await rejection(renew(), 'certificate-not-yet-valid');
  assert.deepEqual(await loadCredentials(nodeDir), before);
});

test('whoever lost the name, or never had it, is refused', async (t) => {
  const { caDir, nodeDir, renew, server } = await lab(t);
  const oldDir = `${nodeDir}.old`;
  await cp(nodeDir, oldDir, { recursive: true });
  await renew(true);
  await server.events.next();
  const addresses = [server.address];
  // A thief of the former key.
  await rejection(renewOnline({ stateDir: oldDir, addresses }), 'renewal-unknown');
  await server.events.refusal('renewal-unknown');
  // A certificate the journal does not know.
  await rename(statePaths(caDir).journal, `${statePaths(caDir).journal}.away`);
  await rejection(renew(), 'renewal-unknown');
  await server.events.refusal('renewal-unknown');
  // A node of another fabric finds out before it has sent anything.
  const otherDir = `${nodeDir}.other`;
  await initFabric({ stateDir: otherDir, site: 'red', node: 'red1' });
  await rejection(renewOnline({ stateDir: otherDir, addresses }), 'pin-mismatch');
  // A copied certificate without its key.
  await copyFile(statePaths(nodeDir).nodeCert, statePaths(oldDir).nodeCert);
  await rejection(renewOnline({ stateDir: oldDir, addresses }), 'key-mismatch');
});

test('an answer that was lost, and a crash between certificate and key, are made good', async (t) => {
  const { caDir, nodeDir, renew } = await lab(t);
  const paths = statePaths(nodeDir);
  const before = await loadCredentials(nodeDir);
  // The CA's node has given the name to the new key; the node has not heard of it.
  const asked = await requestCertificate({ stateDir: nodeDir, newKey: true });
  const issued = await issueFromCsr({ stateDir: caDir, csrPem: asked.csrPem, replace: true });
  assert.deepEqual(await loadCredentials(nodeDir), before);
  await renew();
  const after = await loadCredentials(nodeDir);
  assert.notEqual(after.keyPem, before.keyPem);
  // Killed after the certificate was put in place, before the key was.
  await copyFile(paths.nodeKey, paths.nextKey);
  await writeFile(paths.nodeKey, before.keyPem, { mode: 0o600 });
  assert.equal((await loadCredentials(nodeDir)).keyPem, after.keyPem);
  assert.equal(existsSync(paths.nextKey), false);
  await installCertificate({ stateDir: nodeDir, pem: issued.chainPem });
});

test('what asks again and again is stopped', async (t) => {
  const { caDir, renew } = await lab(t);
  const error = await rejection(
    (async () => {
      for (;;) await renew();
    })(),
    'renewal-too-often',
  );
  assert.match(error.message, /red\/red1/);
  assert.ok((await readJournal(caDir)).length < 30);
});

test("the CA's own node renews itself, ended or not", async (t) => {
  const { caDir } = await lab(t);
  const before = await loadCredentials(caDir);
  const inAYear = (): number => Date.now() + 400 * DAY_MS;
  await rejection(loadCredentials(caDir, { now: inAYear }), 'certificate-expired');
  await loadCredentials(caDir, { now: inAYear, expired: true });
  const renewed = await renewOwn({ stateDir: caDir, now: inAYear });
  assert.deepEqual(renewed.identity, before.identity);
  const after = await loadCredentials(caDir, { now: inAYear });
  assert.equal(after.keyPem, before.keyPem);
  await renewOwn({ stateDir: caDir, newKey: true, now: inAYear });
  assert.notEqual((await loadCredentials(caDir, { now: inAYear })).keyPem, before.keyPem);
});

test('by hand: a request without names is for the certificate there is', async (t) => {
  const { caDir, nodeDir } = await lab(t);
  for (const newKey of [false, true]) {
    const before = await loadCredentials(nodeDir);
    const { csrPem, site, node, keyChanges } = await requestCertificate({
      stateDir: nodeDir,
      newKey,
    });
    assert.deepEqual([site, node, keyChanges], ['red', 'red1', newKey]);
    const issued = await issueFromCsr({ stateDir: caDir, csrPem, replace: keyChanges });
    await installCertificate({ stateDir: nodeDir, pem: issued.chainPem });
    const after = await loadCredentials(nodeDir);
    assert.notEqual(after.certChainPem, before.certChainPem);
    assert.equal(after.keyPem === before.keyPem, !newKey);
  }
  const nameless = requestCertificate({ stateDir: `${nodeDir}.none` });
  await rejection(nameless, 'csr-names-missing');
});
