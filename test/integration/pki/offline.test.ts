import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCsr, csrFromPem, csrToPem, verifyCsr } from '../../../packages/routy/src/pki/csr.ts';
import { generateKeyPem, publicKeyDer } from '../../../packages/routy/src/pki/key.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import {
  installCertificate,
  issueFromCsr,
  requestCertificate,
} from '../../../packages/routy/src/pki/node/offline.ts';
import { spkiPin } from '../../../packages/routy/src/pki/pin.ts';
import { statePaths } from '../../../packages/routy/src/pki/state.ts';
import { loadX509 } from '../../../packages/routy/src/pki/x509.ts';
import { rejection, temporaryDirectory } from '../../support/nodes/enrol-lab.ts';

const NAMES = { site: 'red', node: 'red1' };
const DAY_MS = 86_400_000;

test('request, issue, install: a node without a network', async (t) => {
  const directory = await temporaryDirectory(t);
  const [caDir, nodeDir] = [join(directory, 'ca'), join(directory, 'node')];
  await initFabric({ stateDir: caDir, fabric: 'lab', site: 'gray', node: 'gray1' });
  const { csrPem, keyPin } = await requestCertificate({ stateDir: nodeDir, ...NAMES });
  const issued = await issueFromCsr({ stateDir: caDir, csrPem });
  const installed = await installCertificate({ stateDir: nodeDir, pem: issued.chainPem });
  assert.deepEqual(installed.identity, { fabric: 'lab', ...NAMES });
  assert.equal(installed.serial, issued.serial);
  const credentials = await loadCredentials(nodeDir);
  assert.deepEqual(credentials.identity, installed.identity);
  assert.equal(spkiPin(publicKeyDer(credentials.keyPem)), keyPin);
  const other = { stateDir: nodeDir, site: 'red', node: 'red2' };
  await rejection(requestCertificate(other), 'already-enrolled');
});

test('asked twice, a node keeps its key, so it may be issued again under its name', async (t) => {
  const directory = await temporaryDirectory(t);
  const [caDir, nodeDir] = [join(directory, 'ca'), join(directory, 'node')];
  await initFabric({ stateDir: caDir, site: 'gray', node: 'gray1' });
  const first = await requestCertificate({ stateDir: nodeDir, ...NAMES });
  const second = await requestCertificate({ stateDir: nodeDir, ...NAMES });
  assert.equal(first.keyPin, second.keyPin);
  await issueFromCsr({ stateDir: caDir, csrPem: first.csrPem });
  await issueFromCsr({ stateDir: caDir, csrPem: second.csrPem });
  const csrPem = csrToPem(await createCsr(generateKeyPem(), NAMES));
  await rejection(issueFromCsr({ stateDir: caDir, csrPem }), 'node-name-taken');
  await issueFromCsr({ stateDir: caDir, csrPem, replace: true });
});

test('an expired certificate may be replaced, with the same key', async (t) => {
  const directory = await temporaryDirectory(t);
  const [caDir, nodeDir] = [join(directory, 'ca'), join(directory, 'node')];
  const startMs = Date.now();
  await initFabric({ stateDir: caDir, site: 'gray', node: 'gray1' });
  for (const ageMs of [0, 366 * DAY_MS]) {
    const now = (): number => startMs + ageMs;
    const { csrPem } = await requestCertificate({ stateDir: nodeDir, ...NAMES, now });
    const { chainPem } = await issueFromCsr({ stateDir: caDir, csrPem, now });
    await installCertificate({ stateDir: nodeDir, pem: chainPem, now });
    await loadCredentials(nodeDir, { now });
  }
});

test('install refuses what does not belong to this node', async (t) => {
  const directory = await temporaryDirectory(t);
  const dirs = ['ca', 'other', 'node'].map((name) => join(directory, name));
  const [caDir, otherDir, nodeDir] = [dirs[0]!, dirs[1]!, dirs[2]!];
  await initFabric({ stateDir: caDir, site: 'gray', node: 'gray1' });
  await initFabric({ stateDir: otherDir, site: 'gray', node: 'gray1' });
  const { csrPem } = await requestCertificate({ stateDir: nodeDir, ...NAMES });
  const issued = await issueFromCsr({ stateDir: caDir, csrPem });
  const foreign = await issueFromCsr({ stateDir: otherDir, csrPem });
  const install = (pem: string): Promise<unknown> => installCertificate({ stateDir: nodeDir, pem });
  await rejection(install('no certificate'), 'certificate-broken');
  await rejection(install(issued.certificatePem), 'ca-missing');
  await rejection(install(issued.certificatePem + issued.certificatePem), 'ca-missing');
  const foreignCaPem = foreign.chainPem.slice(foreign.certificatePem.length);
  await rejection(install(issued.certificatePem + foreignCaPem), 'ca-mismatch');
  const strangerCsr = csrToPem(await createCsr(generateKeyPem(), { site: 'red', node: 'red2' }));
  const stranger = await issueFromCsr({ stateDir: caDir, csrPem: strangerCsr });
  await rejection(install(stranger.chainPem), 'key-mismatch');
  await install(issued.chainPem);
  const { nodeCert } = statePaths(nodeDir);
  await rename(nodeCert, `${nodeCert}.old`);
  assert.match((await rejection(install(foreign.chainPem), 'ca-mismatch')).hint ?? '', /ca\.crt/);
  await rejection(installCertificate({ stateDir: caDir, pem: foreign.chainPem }), 'is-ca-node');
});

test('a request is signed by the key it names, which is ECDSA on P-256', async (t) => {
  const directory = await temporaryDirectory(t);
  await initFabric({ stateDir: directory, site: 'gray', node: 'gray1' });
  const der = await createCsr(generateKeyPem(), NAMES);
  const verified = await verifyCsr(der);
  assert.deepEqual([verified.node, verified.site], ['red1', 'red']);
  const tampered = Buffer.from(der);
  tampered[tampered.length - 1]! ^= 1;
  await rejection(verifyCsr(tampered), 'csr-signature-wrong');
  const renamed = Buffer.from(der);
  renamed.write('red2', renamed.indexOf('red1'));
  await rejection(verifyCsr(renamed), 'csr-signature-wrong');
  await rejection(verifyCsr(der.subarray(0, 80)), 'csr-broken');
  await rejection(verifyCsr(Buffer.alloc(0)), 'csr-broken');
  await rejection(verifyCsr(Buffer.alloc(5000)), 'csr-broken');
  const stateDir = directory;
  await rejection(issueFromCsr({ stateDir, csrPem: 'garbage' }), 'csr-broken');
  const siteless = csrToPem(await createCsr(generateKeyPem(), { node: 'red1' }));
  await rejection(issueFromCsr({ stateDir, csrPem: siteless }), 'csr-names-missing');
});

test('requests with other kinds of keys are refused', async () => {
  const x509 = await loadX509();
  const { subtle } = globalThis.crypto;
  const p384 = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-256' };
  const rsa = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
  for (const algorithm of [p384, rsa]) {
    const keys = await subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'CN=red1, OU=red',
      keys,
      signingAlgorithm: algorithm,
    });
    await rejection(verifyCsr(Buffer.from(request.rawData)), 'csr-key-unsupported');
  }
  const other = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  assert.equal(createPublicKey(other).asymmetricKeyType, 'ed25519');
  await rejection(createCsr(other.toString(), NAMES), 'key-broken');
});

test('a request survives the way through PEM, with any line ends', async () => {
  const der = await createCsr(generateKeyPem(), NAMES);
  assert.deepEqual(csrFromPem(csrToPem(der)), der);
  assert.deepEqual(csrFromPem(csrToPem(der).replaceAll('\n', '\r\n')), der);
});
