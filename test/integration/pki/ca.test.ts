import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { certificateIdentity } from '../../../packages/link/src/transport/tls/peer-identity.ts';
import {
  createCa,
  issueCertificate,
  NODE_LIFETIME_MS,
  openCa,
} from '../../../packages/routy/src/pki/ca/ca.ts';
import { readJournal, standingEntries } from '../../../packages/routy/src/pki/ca/journal.ts';
import { certificateFacts } from '../../../packages/routy/src/pki/certificate.ts';
import { generateKeyPem, publicKeyDer } from '../../../packages/routy/src/pki/key.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import { certificatePin, spkiPin } from '../../../packages/routy/src/pki/pin.ts';
import {
  ensureDirectory,
  statePaths,
  writeFileAtomic,
} from '../../../packages/routy/src/pki/state.ts';
import { rejection, temporaryDirectory } from '../../support/nodes/enrol-lab.ts';

const DAY_MS = 86_400_000;
const NOW_MS = Date.parse('2026-03-01T12:00:00Z');

async function makeCa(stateDir: string, nowMs = NOW_MS) {
  return createCa({ stateDir, fabric: 'lab', nowMs });
}

function request(node: string, keyPem: string, replace = false) {
  return { site: 'red', node, spki: publicKeyDer(keyPem), replace, nowMs: NOW_MS };
}

test('init makes CA, key and certificate that belong together, with the right modes', async (t) => {
  const stateDir = join(await temporaryDirectory(t), 'deep', 'state');
  const made = await initFabric({ stateDir, site: 'gray', node: 'gray1' });
  assert.match(made.identity.fabric, /^fabric-[0-9a-f]{6}$/);
  const credentials = await loadCredentials(stateDir);
  assert.deepEqual(credentials.identity, made.identity);
  const paths = statePaths(stateDir);
  const modes = await Promise.all(
    [stateDir, paths.caKey, paths.nodeKey, paths.caCert, paths.nodeCert, paths.journal].map(
      async (path) => (await stat(path)).mode & 0o777,
    ),
  );
  assert.deepEqual(modes, [0o700, 0o600, 0o600, 0o644, 0o644, 0o600]);
  assert.deepEqual(
    (await readdir(stateDir)).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('init refuses a directory that is in use', async (t) => {
  const stateDir = await temporaryDirectory(t);
  await initFabric({ stateDir, fabric: 'lab', site: 'gray', node: 'gray1' });
  const before = await readFile(statePaths(stateDir).caKey);
  const again = initFabric({ stateDir, fabric: 'lab', site: 'gray', node: 'gray1' });
  assert.match((await rejection(again, 'already-initialised')).message, /ca\.key/);
  assert.deepEqual(await readFile(statePaths(stateDir).caKey), before);
});

test('init refuses bad names before it writes anything', async (t) => {
  const stateDir = await temporaryDirectory(t);
  await rejection(initFabric({ stateDir, site: 'Gray', node: 'gray1' }), 'name-invalid');
  await rejection(initFabric({ stateDir, site: 'gray', node: 'a/b' }), 'name-invalid');
  await rejection(
    initFabric({ stateDir, fabric: 'a b', site: 'gray', node: 'gray1' }),
    'name-invalid',
  );
  assert.deepEqual(await readdir(stateDir), []);
});

test('a certificate says what the design promises', async (t) => {
  const ca = await makeCa(await temporaryDirectory(t));
  const keyPem = generateKeyPem();
  const issued = await issueCertificate(ca, request('red1', keyPem));
  const certificate = new X509Certificate(issued.certificatePem);
  assert.deepEqual(certificateIdentity(certificate), { fabric: 'lab', site: 'red', node: 'red1' });
  assert.equal(certificate.subjectAltName, 'URI:routy://lab/red/red1');
  assert.equal(certificate.ca, false);
  // Server and client authentication (RFC 5280 §4.2.1.12).
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  assert.ok(certificate.verify(ca.certificate.publicKey));
  assert.match(issued.serial, /^[4-7][0-9a-f]{31}$/);
  const facts = certificateFacts(issued.chainPem, NOW_MS);
  assert.deepEqual(facts.identity, issued.identity);
  assert.equal(facts.notBefore, '2026-03-01T11:55:00.000Z');
  assert.equal(facts.notAfter, new Date(NOW_MS + NODE_LIFETIME_MS).toISOString());
  assert.equal(facts.state, 'valid');
  assert.equal(facts.daysLeft, 365);
  assert.equal(facts.serial, issued.serial);
  assert.equal(facts.keyPin, spkiPin(publicKeyDer(keyPem)));
  assert.equal(facts.fingerprintSha256, certificate.fingerprint256);
  assert.equal(certificateFacts(issued.chainPem, NOW_MS - DAY_MS).state, 'not-yet-valid');
  assert.equal(certificateFacts(issued.chainPem, NOW_MS + 366 * DAY_MS).state, 'expired');
  assert.deepEqual(certificateFacts(ca.certificatePem, NOW_MS).identity, undefined);
  assert.equal(certificateFacts(ca.certificatePem, NOW_MS).isCa, true);
});

test('no certificate outlives its CA', async (t) => {
  const ca = await makeCa(await temporaryDirectory(t));
  const caEndMs = Date.parse(ca.certificate.validTo);
  const late = { ...request('red1', generateKeyPem()), nowMs: caEndMs - DAY_MS };
  assert.equal((await issueCertificate(ca, late)).notAfterMs, caEndMs);
  await rejection(openCa(ca.stateDir, caEndMs + 1), 'certificate-expired');
});

test('a name stays with its key unless the takeover is asked for', async (t) => {
  const ca = await makeCa(await temporaryDirectory(t));
  const [first, second] = [generateKeyPem(), generateKeyPem()];
  await issueCertificate(ca, request('red1', first));
  await issueCertificate(ca, request('red1', first));
  const error = await rejection(issueCertificate(ca, request('red1', second)), 'node-name-taken');
  assert.match(error.message, /red.*red1/);
  assert.match(error.hint ?? '', /--replace/);
  await issueCertificate(ca, { ...request('red1', second), site: 'blue' });
  await issueCertificate(ca, request('red1', second, true));
  await rejection(issueCertificate(ca, request('red1', first)), 'node-name-taken');
  assert.equal((await readJournal(ca.stateDir)).length, 4);
});

test('of two keys that race for a name, one gets it', async (t) => {
  const ca = await makeCa(await temporaryDirectory(t));
  const results = await Promise.allSettled(
    Array.from({ length: 6 }, () => issueCertificate(ca, request('red1', generateKeyPem()))),
  );
  const won = results.filter((result) => result.status === 'fulfilled');
  assert.equal(won.length, 1);
  const standing = standingEntries(await readJournal(ca.stateDir));
  assert.deepEqual(
    standing.map(({ serial }) => serial),
    won.map(({ value }) => value.serial),
  );
});

test('a journal line that a crash cut off is passed over, and the next one is whole', async (t) => {
  const ca = await makeCa(await temporaryDirectory(t));
  const keyPem = generateKeyPem();
  await issueCertificate(ca, request('red1', keyPem));
  const { journal } = statePaths(ca.stateDir);
  await appendFile(journal, '{"at":"2026-03-01T12:00:00.000Z","serial":"5a');
  await issueCertificate(ca, request('red2', keyPem));
  await appendFile(journal, 'null\n[]\n{"at":1}\n');
  assert.deepEqual(
    (await readJournal(ca.stateDir)).map(({ node }) => node),
    ['red1', 'red2'],
  );
});

test('without a CA, the error says where to go', async (t) => {
  const error = await rejection(openCa(await temporaryDirectory(t), NOW_MS), 'not-ca');
  assert.match(error.hint ?? '', /routy init/);
});

test('a CA whose key was exchanged is refused', async (t) => {
  const ca = await makeCa(await temporaryDirectory(t));
  await writeFileAtomic(statePaths(ca.stateDir).caKey, generateKeyPem(), 0o600);
  await rejection(openCa(ca.stateDir, NOW_MS), 'ca-broken');
  await writeFileAtomic(statePaths(ca.stateDir).caKey, 'no key', 0o600);
  await rejection(openCa(ca.stateDir, NOW_MS), 'key-broken');
});

test('private keys that others can read are refused with the command that helps', async (t) => {
  const stateDir = await temporaryDirectory(t);
  await initFabric({ stateDir, site: 'gray', node: 'gray1' });
  const { caKey, nodeKey } = statePaths(stateDir);
  for (const mode of [0o640, 0o604, 0o620, 0o610]) {
    await chmod(nodeKey, mode);
    const error = await rejection(loadCredentials(stateDir), 'key-readable-by-others');
    assert.match(error.message, new RegExp(`mode 0${mode.toString(8)}`));
    assert.equal(error.hint, `run: chmod 600 ${nodeKey}`);
  }
  await chmod(nodeKey, 0o400);
  await loadCredentials(stateDir);
  await chmod(caKey, 0o644);
  await rejection(openCa(stateDir, Date.now()), 'key-readable-by-others');
});

test('a state directory that others can write, or that is a file, is refused', async (t) => {
  const directory = await temporaryDirectory(t);
  const open = join(directory, "it's open");
  await mkdir(open);
  await chmod(open, 0o775);
  const error = await rejection(ensureDirectory(open), 'state-writable-by-others');
  assert.equal(error.hint, `run: chmod 700 '${directory}/it'\\''s open'`);
  await writeFile(join(directory, 'file'), '');
  await rejection(ensureDirectory(join(directory, 'file', 'state')), 'state-unwritable');
  await rejection(writeFileAtomic(join(directory, 'none', 'x'), '', 0o600), 'state-unwritable');
});

test('credentials: each missing or foreign part is named', async (t) => {
  const directory = await temporaryDirectory(t);
  const [ours, other] = [join(directory, 'ours'), join(directory, 'other')];
  const missing = await rejection(loadCredentials(ours), 'state-missing');
  assert.match(missing.hint ?? '', /routy join/);
  await initFabric({ stateDir: ours, fabric: 'lab', site: 'gray', node: 'gray1' });
  await initFabric({ stateDir: other, fabric: 'lab', site: 'gray', node: 'gray1' });
  const paths = statePaths(ours);
  const foreign = statePaths(other);
  const swap = async (path: string, content: string, code: string): Promise<void> => {
    const before = await readFile(path, 'utf8');
    await writeFile(path, content);
    await rejection(loadCredentials(ours), code);
    await writeFile(path, before);
  };
  await swap(paths.caCert, await readFile(foreign.caCert, 'utf8'), 'ca-mismatch');
  await swap(paths.nodeKey, await readFile(foreign.nodeKey, 'utf8'), 'key-mismatch');
  await swap(paths.nodeKey, 'garbage', 'key-broken');
  await swap(paths.nodeCert, await readFile(foreign.nodeCert, 'utf8'), 'key-mismatch');
  await swap(paths.nodeCert, 'garbage', 'certificate-broken');
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  await swap(paths.nodeCert, broken, 'certificate-broken');
  await loadCredentials(ours);
});

test('credentials out of date are refused, and the hint says how to renew', async (t) => {
  const stateDir = await temporaryDirectory(t);
  await initFabric({ stateDir, site: 'gray', node: 'gray1', now: () => NOW_MS });
  await loadCredentials(stateDir, { now: () => NOW_MS + 364 * DAY_MS });
  const expired = loadCredentials(stateDir, { now: () => NOW_MS + 366 * DAY_MS });
  assert.match((await rejection(expired, 'certificate-expired')).hint ?? '', /routy cert renew/);
  const early = loadCredentials(stateDir, { now: () => NOW_MS - DAY_MS });
  assert.match((await rejection(early, 'certificate-not-yet-valid')).hint ?? '', /clock/);
});

test("a node's certificate cannot act as a CA", async (t) => {
  const stateDir = await temporaryDirectory(t);
  const ca = await makeCa(stateDir);
  const nodeKey = generateKeyPem();
  const node = await issueCertificate(ca, request('red1', nodeKey));
  const forged = await issueCertificate(
    {
      ...ca,
      keyPem: nodeKey,
      certificate: new X509Certificate(node.certificatePem),
      certificatePem: node.certificatePem,
    },
    request('red2', nodeKey),
  );
  await writeFile(statePaths(stateDir).nodeKey, nodeKey, { mode: 0o600 });
  await writeFile(statePaths(stateDir).nodeCert, forged.certificatePem);
  await writeFile(statePaths(stateDir).caCert, node.certificatePem);
  await rejection(loadCredentials(stateDir, { now: () => NOW_MS }), 'ca-mismatch');
});

test('TLS itself takes our certificates both ways, and no expired or foreign ones', async (t) => {
  const directory = await temporaryDirectory(t);
  const ca = await createCa({ stateDir: join(directory, 'a'), fabric: 'lab', nowMs: Date.now() });
  const foreign = await createCa({
    stateDir: join(directory, 'b'),
    fabric: 'lab',
    nowMs: Date.now(),
  });
  const key = generateKeyPem();
  const issue = async (from: typeof ca, lifetimeMs: number): Promise<string> => {
    const wanted = { ...request('red1', key), nowMs: Date.now(), lifetimeMs };
    return (await issueCertificate(from, wanted)).chainPem;
  };
  const cert = await issue(ca, DAY_MS);
  const server = createServer({
    key,
    cert,
    ca: ca.certificatePem,
    requestCert: true,
    minVersion: 'TLSv1.3',
  });
  server.on('secureConnection', (socket) => socket.end(`${socket.authorized}`));
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const dial = async (clientCert: string): Promise<string> => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      key,
      cert: clientCert,
      ca: ca.certificatePem,
      checkServerIdentity: () => undefined,
    });
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.on('error', () => undefined);
    await once(socket, 'close');
    return text;
  };
  assert.equal(await dial(cert), 'true');
  // The certificate began five minutes ago, so this one ended a minute ago.
  assert.equal(await dial(await issue(ca, -60_000)), '');
  assert.equal(await dial(await issue(foreign, DAY_MS)), '');
  assert.equal(certificatePin(ca.certificate), ca.pin);
});
