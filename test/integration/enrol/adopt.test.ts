import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AdoptionNews } from '../../../packages/routy/src/cli/text/adoption-news.ts';
import {
  formatAdoptionText,
  parseAdoptionText,
} from '../../../packages/routy/src/enrol/adoption-text.ts';
import { adopt } from '../../../packages/routy/src/enrol/enrol-adopt.ts';
import { awaitAdoption } from '../../../packages/routy/src/enrol/enrol-await.ts';
import { openCa } from '../../../packages/routy/src/pki/ca/ca.ts';
import { readJournal } from '../../../packages/routy/src/pki/ca/journal.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';
import { ANY_PORT, startLab, startNewcomer } from './adoption-lab.ts';
import {
  connectPlain,
  connectStranger,
  encodeMessage,
  readMessages,
  refusingAddress,
  rejection,
  SHORT_STEP_MS,
  silentAddress,
} from '../../support/nodes/enrol-lab.ts';
import { until } from '../../support/lanes/lane-pair.ts';

test('a newcomer that cannot dial is adopted', async (t) => {
  const { caDir, one } = await startLab(t);
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
  const { caDir, one, two } = await startLab(t);
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
  const { caDir, one, two } = await startLab(t);
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
  const { caDir, one, two } = await startLab(t);
  const [meant, other] = [await startNewcomer(t, one), await startNewcomer(t, two)];
  const mixed = { ...parseAdoptionText(meant.addressAndPin), address: other.listen };
  const addressAndPin = formatAdoptionText(mixed);
  const wrong = adopt({ stateDir: caDir, addressAndPin, site: 'gray', node: 'gray1' });
  assert.match((await rejection(wrong, 'pin-mismatch')).hint ?? '', /nothing was sent/);
  assert.equal((await readJournal(caDir)).length, 1);
});

test('two adopters at once: one adopts, the newcomer has one certificate', async (t) => {
  const { caDir, one, two } = await startLab(t);
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
  const { caDir, one } = await startLab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1', stepMs: SHORT_STEP_MS });
  const { listen, events } = newcomer;
  const plain = await connectPlain(t, listen);
  plain.write('GET / HTTP/1.1\r\n\r\n');
  await events.refusal('not-tls');
  await connectPlain(t, listen);
  await events.refusal('handshake-timeout');
  const leaving = await connectPlain(t, listen);
  leaving.destroy();
  await events.refusal('closed');
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

test('silent strangers without end do not keep the adopter out', async (t) => {
  const { caDir, one } = await startLab(t);
  const newcomer = await startNewcomer(t, one, { node: 'gray1' });
  const { addressAndPin, listen } = newcomer;
  let flooding = true;
  const strangers = new Set<Socket>();
  const flood = (async () => {
    while (flooding) {
      for (let i = 0; i < 10; i++) {
        const socket = connect(listen.port, listen.host).on('error', () => undefined);
        // Some of them begin a handshake and leave it there.
        if (i % 5 === 0) socket.write(Buffer.from('16030102000100', 'hex'));
        strangers.add(socket);
      }
      await sleep(20);
    }
  })();
  await until('they are there', () => strangers.size >= 200);
  await adopt({ stateDir: caDir, addressAndPin, site: 'gray' });
  await newcomer.adopted;
  flooding = false;
  await flood;
  for (const socket of strangers) socket.destroy();
});

test('equal garbage from many connections is counted, in one line without its raw words', async (t) => {
  const { one } = await startLab(t);
  const lines: string[] = [];
  const news = new AdoptionNews((line) => lines.push(line));
  let refused = 0;
  const waiting = await awaitAdoption({
    stateDir: one,
    listen: ANY_PORT,
    log: (event) => {
      refused += 1;
      news.note(event);
    },
  });
  for (let i = 0; i < 500; i++) {
    const socket = connect(waiting.listen.port, waiting.listen.host);
    socket.on('error', () => undefined).resume();
    socket.write(`GET /${i} HTTP/1.1\r\n\r\n`);
    if (i % 50 === 49) await until('they were refused', () => refused > i - 25);
  }
  await until('all were refused', () => refused === 500);
  news.close();
  await waiting.close();
  assert.ok(lines.length <= 4, lines.join('\n'));
  assert.match(lines[0]!, /^refused 127\.0\.0\.1:\d+: not TLS \(http request\) \(not-tls\); still/);
  for (const line of lines) assert.doesNotMatch(line, /\n|:error:|SSL routines/);
});

test('adopting asks for a CA, a whole text, good names and somebody who answers', async (t) => {
  const { caDir, one, two } = await startLab(t);
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
  const { caDir, one, two } = await startLab(t);
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
  const { one } = await startLab(t);
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
