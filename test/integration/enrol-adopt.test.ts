import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatAdoptionText, parseAdoptionText } from '../../src/pki/adoption-text.ts';
import { openCa } from '../../src/pki/ca.ts';
import { loadCredentials } from '../../src/pki/credentials.ts';
import { adopt } from '../../src/pki/enrol-adopt.ts';
import { type Adoption, awaitAdoption } from '../../src/pki/enrol-await.ts';
import { EnrolChannel } from '../../src/pki/enrol-channel.ts';
import { dialEnrolment } from '../../src/pki/enrol-dial.ts';
import { proveMessage } from '../../src/pki/enrol-protocol.ts';
import { initFabric } from '../../src/pki/init.ts';
import { readJournal } from '../../src/pki/journal.ts';
import {
  connectPlain,
  connectStranger,
  EventLog,
  encodeMessage,
  LAB_STEP_MS,
  readMessages,
  refusingAddress,
  rejection,
  SHORT_STEP_MS,
  silentAddress,
  temporaryDirectory,
} from '../support/enrol-lab.ts';

const ANY_PORT = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

interface Newcomer extends Adoption {
  readonly stateDir: string;
  readonly events: EventLog;
}

async function startNewcomer(
  t: TestContext,
  stateDir: string,
  options: { node?: string; stepMs?: number } = {},
): Promise<Newcomer> {
  const events = new EventLog();
  const { log } = events;
  const waiting = await awaitAdoption({
    stateDir,
    listen: ANY_PORT,
    log,
    stepMs: LAB_STEP_MS,
    ...options,
  });
  t.after(() => waiting.close());
  return { ...waiting, stateDir, events };
}

/** A CA's state directory, and the names of two more directories beside it. */
async function lab(t: TestContext): Promise<{ caDir: string; one: string; two: string }> {
  const directory = await temporaryDirectory(t);
  const caDir = join(directory, 'ca');
  await initFabric({ stateDir: caDir, fabric: 'lab', site: 'red', node: 'red1' });
  return { caDir, one: join(directory, 'one'), two: join(directory, 'two') };
}

test('a newcomer that cannot dial is adopted', async (t) => {
  const { caDir, one } = await lab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { addressAndPin, listen } = newcomer;
  assert.match(addressAndPin, /^127\.0\.0\.1:\d+#[\w-]{43}\.[\w-]{22}$/);
  const adopted = await adopt({ stateDir: caDir, addressAndPin, site: 'gray' });
  const enrolled = await newcomer.adopted;
  assert.deepEqual(adopted.identity, { fabric: 'lab', site: 'gray', node: 'gray1' });
  assert.deepEqual(adopted.address, listen);
  assert.deepEqual(enrolled.identity, adopted.identity);
  assert.equal(enrolled.serial, adopted.serial);
  const credentials = await loadCredentials(one);
  assert.deepEqual(credentials.identity, adopted.identity);
  assert.equal(credentials.caPem, (await openCa(caDir, Date.now())).certificatePem);
  assert.equal((await newcomer.events.next()).kind, 'enrolled');
  // The port is free for the node, and nobody adopts a second time.
  const server = createServer().listen(listen.port, listen.host);
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
  await rejection(adopt({ stateDir: caDir, addressAndPin, site: 'gray' }), 'enrol-unreachable');
  await rejection(startNewcomer(t, one), 'already-enrolled');
});

test('the adopter decides the name; somebody must', async (t) => {
  const { caDir, one, two } = await lab(t);
  const nameless = await startNewcomer(t, one);
  const { addressAndPin } = nameless;
  await rejection(adopt({ stateDir: caDir, addressAndPin, site: 'gray' }), 'node-name-missing');
  await nameless.events.refusal('node-name-missing');
  await adopt({ stateDir: caDir, addressAndPin, site: 'gray', node: 'gray7' });
  assert.equal((await nameless.adopted).identity.node, 'gray7');

  const suggesting = await startNewcomer(t, two, { node: 'gray8' });
  const wanted = { stateDir: caDir, addressAndPin: suggesting.addressAndPin, site: 'gray' };
  await rejection(adopt({ ...wanted, node: 'gray7' }), 'node-name-taken');
  const told = await suggesting.events.next();
  assert.equal(told.kind, 'refused');
  assert.deepEqual([told.code, told.by], ['node-name-taken', 'peer']);
  await adopt({ ...wanted, node: 'gray7', replace: true });
  assert.equal((await suggesting.adopted).identity.node, 'gray7');
});

test('a stranger without the secret does not adopt, and harms nothing', async (t) => {
  const { caDir, one, two } = await lab(t);
  await initFabric({ stateDir: two, fabric: 'evil', site: 'red', node: 'red1' });
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const text = parseAdoptionText(newcomer.addressAndPin);
  const guess = formatAdoptionText({ ...text, secret: 'A'.repeat(22) });
  for (let count = 0; count < 8; count++) {
    const theft = adopt({ stateDir: two, addressAndPin: guess, site: 'gray' });
    await rejection(theft, 'proof-wrong');
    await newcomer.events.refusal('proof-wrong');
  }
  assert.deepEqual(await readdir(one), ['node.key']);
  assert.equal((await readJournal(two)).length, 1);
  await adopt({ stateDir: caDir, addressAndPin: newcomer.addressAndPin, site: 'gray' });
  assert.equal((await newcomer.adopted).identity.fabric, 'lab');
});

test('a newcomer with another key than the printed one is not adopted', async (t) => {
  const { caDir, one, two } = await lab(t);
  const [meant, other] = [await startNewcomer(t, one), await startNewcomer(t, two)];
  const mixed = { ...parseAdoptionText(meant.addressAndPin), address: other.listen };
  const addressAndPin = formatAdoptionText(mixed);
  const wrong = adopt({ stateDir: caDir, addressAndPin, site: 'gray', node: 'gray1' });
  assert.match((await rejection(wrong, 'pin-mismatch')).hint ?? '', /nothing was sent/);
  assert.equal((await readJournal(caDir)).length, 1);
});

test('two adopters at once: one adopts, the newcomer has one certificate', async (t) => {
  const { caDir, one, two } = await lab(t);
  await initFabric({ stateDir: two, fabric: 'second', site: 'red', node: 'red1' });
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { addressAndPin } = newcomer;
  const results = await Promise.allSettled(
    [caDir, two].map((stateDir) => adopt({ stateDir, addressAndPin, site: 'gray' })),
  );
  const won = results.filter((result) => result.status === 'fulfilled');
  assert.equal(won.length, 1);
  const { identity } = await newcomer.adopted;
  assert.deepEqual(won[0]!.value.identity, identity);
  assert.deepEqual((await loadCredentials(one)).identity, identity);
});

test('garbage, silence and other protocols are refused, logged, and survived', async (t) => {
  const { caDir, one } = await lab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1', stepMs: SHORT_STEP_MS });
  const { listen, events } = newcomer;
  const plain = await connectPlain(t, listen);
  plain.write('GET / HTTP/1.1\r\n\r\n');
  await events.refusal('enrol-handshake');
  await connectPlain(t, listen);
  await events.refusal('enrol-handshake');
  const leaving = await connectPlain(t, listen);
  leaving.destroy();
  await events.refusal('enrol-handshake');
  const garbage = await connectStranger(t, listen);
  garbage.write(Buffer.alloc(100, 0xff));
  assert.equal((await readMessages(garbage))[0]?.code, 'enrol-message-too-long');
  await events.refusal('enrol-message-too-long');
  const unproved = await connectStranger(t, listen);
  unproved.write(encodeMessage({ type: 'adopt', fabric: 'lab', site: 'gray' }));
  await events.refusal('enrol-message-broken');
  const silent = await connectStranger(t, listen);
  assert.equal((await readMessages(silent))[0]?.code, 'enrol-timeout');
  await events.refusal('enrol-timeout');
  const { addressAndPin } = newcomer;
  await adopt({ stateDir: caDir, addressAndPin, site: 'gray' });
  assert.equal((await newcomer.adopted).identity.node, 'gray1');
});

test('more connections than anybody needs: the oldest gives way to the adopter', async (t) => {
  const { caDir, one } = await lab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const idle = await Promise.all(
    Array.from({ length: 32 }, () => connectPlain(t, newcomer.listen)),
  );
  const closed = Promise.race(idle.map((socket) => once(socket, 'close')));
  const { addressAndPin } = newcomer;
  await adopt({ stateDir: caDir, addressAndPin, site: 'gray' });
  await closed;
  await newcomer.adopted;
});

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
  const { caDir, one } = await lab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { certificatePem: ca } = await openCa(caDir, Date.now());
  const { certChainPem } = await loadCredentials(caDir);
  const offer = { fabric: 'lab', site: 'gray', ca };
  await crooked(newcomer, offer);
  await newcomer.events.refusal('enrol-lost');
  await rejection(crooked(newcomer, offer, certChainPem), 'key-mismatch');
  await newcomer.events.refusal('key-mismatch');
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
  const { caDir, one } = await lab(t);
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

test('adopting asks for a CA, a whole text, good names and somebody who answers', async (t) => {
  const { caDir, one, two } = await lab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { addressAndPin } = newcomer;
  await rejection(adopt({ stateDir: two, addressAndPin, site: 'gray' }), 'not-ca');
  await rejection(adopt({ stateDir: caDir, addressAndPin, site: 'G' }), 'name-invalid');
  const cutOff = addressAndPin.slice(0, -4);
  const wrong = adopt({ stateDir: caDir, addressAndPin: cutOff, site: 'gray' });
  await rejection(wrong, 'adoption-text-wrong');
  const text = parseAdoptionText(addressAndPin);
  for (const [address, code] of [
    [await refusingAddress(), 'enrol-unreachable'],
    [await silentAddress(t), 'enrol-timeout'],
  ] as const) {
    const elsewhere = formatAdoptionText({ ...text, address });
    const options = { stateDir: caDir, addressAndPin: elsewhere, site: 'gray' };
    await rejection(adopt({ ...options, stepMs: SHORT_STEP_MS }), code);
  }
});

test('waiting can be given up, and says what prevents it', async (t) => {
  const { caDir, one, two } = await lab(t);
  const newcomer = await startNewcomer(t, one);
  await newcomer.close();
  await rejection(newcomer.adopted, 'adoption-stopped');
  const busy = await startNewcomer(t, one);
  const log = (): void => undefined;
  const blocked = awaitAdoption({ stateDir: two, listen: busy.listen, log });
  assert.match((await rejection(blocked, 'listen-failed')).hint ?? '', /--listen/);
  await rejection(awaitAdoption({ stateDir: caDir, listen: ANY_PORT, log }), 'is-ca-node');
  const misnamed = awaitAdoption({ stateDir: two, listen: ANY_PORT, log, node: 'A' });
  await rejection(misnamed, 'name-invalid');
});

test('the printed address is one that others can dial', async (t) => {
  const { one } = await lab(t);
  const log = (): void => undefined;
  const everywhere = { ...ANY_PORT, host: '0.0.0.0' };
  const advertise = { kind: 'tcp', host: 'gray.example', port: 7443 } as const;
  const named = await awaitAdoption({ stateDir: one, listen: everywhere, advertise, log });
  await named.close();
  assert.deepEqual(parseAdoptionText(named.addressAndPin).address, advertise);
  const found = await awaitAdoption({ stateDir: one, listen: everywhere, log });
  await found.close();
  assert.equal(parseAdoptionText(found.addressAndPin).address.port, found.listen.port);
  const [first, second] = [named, found].map(({ addressAndPin }) =>
    parseAdoptionText(addressAndPin),
  );
  assert.equal(first!.keyPin, second!.keyPin);
  assert.notEqual(first!.secret, second!.secret);
});
