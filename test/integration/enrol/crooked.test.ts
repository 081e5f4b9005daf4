import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect, createServer as createTlsServer, type SecureContextOptions } from 'node:tls';
import { ALPN_ENROL, TLS_PROFILE } from '../../../packages/link/src/transport/tls/tls-context.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import {
  formatAdoptionText,
  parseAdoptionText,
} from '../../../packages/routy/src/enrol/adoption-text.ts';
import { adopt } from '../../../packages/routy/src/enrol/enrol-adopt.ts';
import { EnrolChannel } from '../../../packages/routy/src/enrol/enrol-channel.ts';
import { dialEnrolment } from '../../../packages/routy/src/enrol/enrol-dial.ts';
import { proveMessage } from '../../../packages/routy/src/enrol/enrol-protocol.ts';
import { createCa, issueCertificate, openCa } from '../../../packages/routy/src/pki/ca/ca.ts';
import { readJournal } from '../../../packages/routy/src/pki/ca/journal.ts';
import { createCsr } from '../../../packages/routy/src/pki/csr.ts';
import { generateKeyPem, publicKeyDer } from '../../../packages/routy/src/pki/key.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { spkiPin } from '../../../packages/routy/src/pki/pin.ts';
import { ANY_PORT, type Newcomer, startLab, startNewcomer } from './adoption-lab.ts';
import {
  LAB_STEP_MS,
  rejection,
  startTlsServer,
  temporaryDirectory,
} from '../../support/nodes/enrol-lab.ts';

/** Speaks to the newcomer as an adopter that knows the secret but does not keep to the rules. */
async function crooked(
  newcomer: Newcomer,
  offer: Record<string, unknown>,
  certificate?: string,
): Promise<void> {
  const { address, secret } = parseAdoptionText(newcomer.addressAndPin);
  const socket = await dialEnrolment(address, { stepMs: LAB_STEP_MS });
  try {
    const channel = new EnrolChannel(socket, LAB_STEP_MS);
    const key = Buffer.from(secret, 'base64url');
    const ours = { secret: key, exporter: channel.exporter, sender: 'adopter' } as const;
    channel.send(proveMessage({ type: 'adopt', ...offer }, ours));
    await channel.receive('proved');
    if (certificate === undefined) return;
    channel.send(proveMessage({ type: 'certificate', certificate }, ours));
    await channel.receive('proved');
  } finally {
    socket.destroy();
  }
}

test('an adopter that breaks off or hands over a foreign certificate changes nothing', async (t) => {
  const { caDir, one } = await startLab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { certificatePem: ca } = await openCa(caDir, Date.now());
  const { certChainPem } = await loadCredentials(caDir);
  const offer = { fabric: 'lab', site: 'gray', ca };
  await crooked(newcomer, offer);
  await newcomer.events.refusal('enrol-lost');
  await rejection(crooked(newcomer, offer, certChainPem), 'key-mismatch');
  await newcomer.events.refusal('key-mismatch');
  const spki = publicKeyDer(await readFile(join(one, 'node.key'), 'utf8'));
  const red = { site: 'red', node: 'gray1', replace: false, nowMs: Date.now(), spki };
  const elsewhere = await issueCertificate(await openCa(caDir, Date.now()), red);
  await rejection(crooked(newcomer, offer, elsewhere.certificatePem), 'identity-wrong');
  await newcomer.events.refusal('identity-wrong');
  await rejection(crooked(newcomer, offer, 'garbage'), 'certificate-broken');
  await newcomer.events.refusal('certificate-broken');
  await rejection(crooked(newcomer, { ...offer, site: '../x' }), 'name-invalid');
  await newcomer.events.refusal('name-invalid');
  await rejection(crooked(newcomer, { ...offer, ca: 5 }), 'enrol-message-broken');
  await newcomer.events.refusal('enrol-message-broken');
  assert.deepEqual(await readdir(one), ['node.key']);
  const { addressAndPin } = newcomer;
  await adopt({ stateDir: caDir, addressAndPin, site: 'gray' });
  await newcomer.adopted;
});

test("a newcomer's message cannot be thrown back at it", async (t) => {
  const { caDir, one } = await startLab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { address, secret } = parseAdoptionText(newcomer.addressAndPin);
  const socket = await dialEnrolment(address, { stepMs: LAB_STEP_MS });
  t.after(() => socket.destroy());
  const channel = new EnrolChannel(socket, LAB_STEP_MS);
  const { certificatePem: ca } = await openCa(caDir, Date.now());
  const key = Buffer.from(secret, 'base64url');
  const ours = { secret: key, exporter: channel.exporter, sender: 'adopter' } as const;
  channel.send(proveMessage({ type: 'adopt', fabric: 'lab', site: 'gray', ca }, ours));
  channel.send(await channel.receive('proved'));
  await rejection(channel.receive('proved'), 'proof-wrong');
  await newcomer.events.refusal('proof-wrong');
});

interface CrookedNewcomer {
  /** The key of the request; the newcomer's own when left out. */
  readonly csrKey?: string;
  readonly node: string;
  /** What it says last, instead of confirming; it hangs up when left out. */
  readonly last?: { code: string };
}

/** A listener that knows key and secret of what it prints, but does not keep to the rules. */
async function startCrooked(t: TestContext, rules: CrookedNewcomer): Promise<string> {
  const keyPem = generateKeyPem();
  const secret = Buffer.alloc(16, 7);
  const ca = await createCa({
    stateDir: await temporaryDirectory(t),
    fabric: 'x',
    nowMs: Date.now(),
  });
  const identity = { site: 'x', node: 'x', replace: false, nowMs: Date.now() };
  const { chainPem } = await issueCertificate(ca, { ...identity, spki: publicKeyDer(keyPem) });
  const { address } = await startTlsServer(t, {
    cert: chainPem,
    key: keyPem,
    serve: async (socket) => {
      const channel = new EnrolChannel(socket, LAB_STEP_MS);
      const ours = { secret, exporter: channel.exporter, sender: 'newcomer' } as const;
      await channel.receive('proved');
      const csr = await createCsr(rules.csrKey ?? keyPem, { node: rules.node, site: 'gray' });
      channel.send(proveMessage({ type: 'request', csr: csr.toString('base64url') }, ours));
      const answer = await channel.receive('proved').catch(() => undefined);
      if (answer === undefined || rules.last === undefined) socket.destroy();
      else channel.refuse(new RoutyError(rules.last.code, 'for a reason'));
    },
  });
  const keyPin = spkiPin(publicKeyDer(keyPem));
  return formatAdoptionText({ address, keyPin, secret: secret.toString('base64url') });
}

test('a newcomer that asks for more than was offered gets nothing', async (t) => {
  const { caDir } = await startLab(t);
  const attempt = async (rules: CrookedNewcomer, code: string): Promise<RoutyError> => {
    const addressAndPin = await startCrooked(t, rules);
    const options = { stateDir: caDir, addressAndPin, site: 'gray', node: 'gray1' };
    return rejection(adopt(options), code);
  };
  await attempt({ csrKey: generateKeyPem(), node: 'gray1' }, 'pin-mismatch');
  await attempt({ node: 'gray2' }, 'node-name-mismatch');
  assert.equal((await readJournal(caDir)).length, 1);
  // From here on a certificate was signed, and the adopter says so when it hears nothing.
  const error = await attempt({ node: 'gray1' }, 'adoption-unconfirmed');
  assert.match(error.message, /gray\/gray1/);
});

test("a newcomer's refusal at the end is the adopter's error", async (t) => {
  const { caDir } = await startLab(t);
  const addressAndPin = await startCrooked(t, { node: 'gray1', last: { code: 'disk-full' } });
  const options = { stateDir: caDir, addressAndPin, site: 'gray' };
  assert.equal((await rejection(adopt(options), 'disk-full')).message, 'for a reason');
});

test('what does not speak enrolment is neither adopter nor newcomer', async (t) => {
  const { caDir, one } = await startLab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { port, host } = newcomer.listen;
  const other = connect({ port, host, rejectUnauthorized: false });
  t.after(() => other.destroy());
  other.on('error', () => undefined);
  await newcomer.events.refusal('alpn');
  const { certChainPem, keyPem } = await loadCredentials(caDir);
  const web = createTlsServer({ cert: certChainPem, key: keyPem }, (socket) => socket.end());
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  t.after(() => web.close());
  const address = { ...ANY_PORT, port: (web.address() as AddressInfo).port };
  const text = { ...parseAdoptionText(newcomer.addressAndPin), address };
  const astray = { stateDir: caDir, addressAndPin: formatAdoptionText(text), site: 'gray' };
  await rejection(adopt(astray), 'enrol-not-routy');
});

test('enrolment speaks TLS by the same profile as lanes, and by nothing beyond', async (t) => {
  const { caDir } = await startLab(t);
  const { certChainPem, keyPem } = await loadCredentials(caDir);
  const options = { ALPNProtocols: [ALPN_ENROL], cert: certChainPem, key: keyPem };
  const dial = async (profile: SecureContextOptions): Promise<unknown> => {
    const server = createTlsServer({ ...options, ...profile }, (socket) => socket.end());
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = { ...ANY_PORT, port: (server.address() as AddressInfo).port };
    return dialEnrolment(address, { stepMs: LAB_STEP_MS }).then((socket) => socket.destroy());
  };
  await dial(TLS_PROFILE);
  // A curve that every OpenSSL has and the profile has not.
  await rejection(dial({ ecdhCurve: 'P-521' }), 'enrol-not-routy');
});
