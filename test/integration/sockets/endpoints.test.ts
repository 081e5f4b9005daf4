import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { EndpointSide } from '../../../packages/link/src/streams/socket-endpoint.ts';
import { ENDPOINT_KINDS, type MakeEndpoint } from '../../support/sockets/endpoint-kinds.ts';
import { FakeByteStream } from '../../support/sockets/fake-byte-stream.ts';
import { until } from '../../support/sockets/loopback.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-endpoints-'));
after(() => rmSync(directory, { recursive: true }));
let paths = 0;
const newPath = () => join(directory, String(paths++));

const LAST_BYTES = 8 * 1024 * 1024;
const nextRound = () => new Promise((resolve) => setImmediate(resolve));

for (const [name, make] of Object.entries(ENDPOINT_KINDS)) {
  describe(name, { timeout: 60_000 }, () => {
    ends(make);
    unread(make);
    writesThatFail(make);
    bytesAndResets(make);
  });
}

/** What the session is told when the other end of the endpoint's socket does `act`. */
async function whenPeer(make: MakeEndpoint, act: (peer: Socket) => void, path?: string) {
  const rig = await make('target', path);
  const session = new FakeByteStream(rig.endpoint);
  act(rig.peer);
  rig.endpoint.writable();
  await until('the session is told', () => session.told.length > 0);
  const outcome = session.told[0]!;
  rig.close();
  return { text: session.text, outcome };
}

function ends(make: MakeEndpoint): void {
  const closed = (peer: Socket) => peer.end('last', () => peer.destroy());

  test('a half-close after the last bytes is an end', async () => {
    const told = await whenPeer(make, (peer) => peer.end('last'));
    assert.deepEqual(told, { text: 'last', outcome: 'end' });
  });

  test('a connection closed altogether is an end', async () => {
    assert.deepEqual(await whenPeer(make, closed), { text: 'last', outcome: 'end' });
  });

  test('a unix socket closed altogether is an end', async () => {
    const told = await whenPeer(make, closed, newPath());
    assert.deepEqual(told, { text: 'last', outcome: 'end' });
  });

  test('a reset is a reset', async () => {
    const told = await whenPeer(make, (peer) => peer.resetAndDestroy());
    assert.deepEqual(told, { text: '', outcome: 'connection-reset' });
  });

  test('a reset that comes with the last bytes is a reset, never a clean end', async () => {
    const act = (peer: Socket) => peer.write('last', () => peer.resetAndDestroy());
    const told = await whenPeer(make, act);
    assert.deepEqual(told, { text: 'last', outcome: 'connection-reset' });
  });

  test('both directions end in order, each by itself, and the socket closes', async () => {
    const { endpoint, peer, isClosed, close } = await make('client');
    const session = new FakeByteStream(endpoint);
    let finDelivered = false;
    session.finDelivered = () => {
      finDelivered = true;
    };
    endpoint.writable();
    endpoint.data(Buffer.from('answer'));
    endpoint.fin();
    const [answer] = (await once(peer, 'data')) as [Buffer];
    assert.equal(answer.toString(), 'answer');
    await until('the end is delivered', () => finDelivered);
    assert.equal(session.bytesDelivered, 6);
    peer.end('more');
    await until('the session is told', () => session.told.length > 0);
    assert.deepEqual([session.text, session.told], ['more', ['end']]);
    await until('the socket is closed', isClosed);
    endpoint.finished();
    close();
  });

  test('an end that is known between two streams is told to the second', async () => {
    const { endpoint, peer, close } = await make('client');
    const first = new FakeByteStream(endpoint);
    endpoint.writable();
    peer.end();
    endpoint.detach();
    await once(peer, 'finish');
    const second = new FakeByteStream(endpoint);
    endpoint.writable();
    await until('the second stream is told', () => second.told.length > 0);
    assert.deepEqual([first.told, second.told], [[], ['end']]);
    close();
  });
}

/** An endpoint whose stream takes no more than one chunk, until told; one has come. */
async function paused(make: MakeEndpoint, side: EndpointSide, path?: string) {
  const rig = await make(side, path);
  const session = new FakeByteStream(rig.endpoint);
  session.open = false;
  rig.endpoint.writable();
  rig.peer.write('first');
  await until('the session takes no more', () => session.text === 'first');
  return { ...rig, session };
}

function unread(make: MakeEndpoint): void {
  test('a client that resets while it waits for credit is not waited for', async () => {
    const { peer, session, isClosed } = await paused(make, 'client');
    peer.resetAndDestroy();
    await until('it is noticed', () => session.told.length > 0);
    assert.deepEqual(session.told, ['cancelled']);
    await until('the socket is closed', isClosed);
  });

  test('a unix client that closes while bytes of it wait for credit is not waited for', async () => {
    const { peer, session, isClosed } = await paused(make, 'client', newPath());
    peer.write(Buffer.alloc(1024 * 1024));
    await nextRound();
    peer.destroy();
    await until('it is noticed', () => session.told.length > 0);
    assert.deepEqual(session.told, ['cancelled']);
    await until('the socket is closed', isClosed);
  });

  test('a client that resets after it half-closed, and after its end was read, is noticed', async () => {
    const { endpoint, peer } = await make('client');
    const session = new FakeByteStream(endpoint);
    endpoint.writable();
    peer.end();
    await until('its end was read', () => session.told.includes('end'));
    peer.resetAndDestroy();
    await until('it is noticed', () => session.told.includes('connection-reset'));
  });

  test('what a target said before it reset is read when the session takes it again', async () => {
    const { peer, session, endpoint } = await paused(make, 'target');
    const answer = 'a'.repeat(96 * 1024);
    peer.write(answer);
    peer.write('last words', () => peer.resetAndDestroy());
    await once(peer, 'close');
    endpoint.data(Buffer.from('too late'));
    await nextRound();
    await nextRound();
    assert.deepEqual(session.told, []);
    session.open = true;
    endpoint.writable();
    await until('the session was told', () => session.told.length > 0);
    assert.equal(session.text, `first${answer}last words`);
    assert.deepEqual(session.told, ['connection-reset']);
  });

  test('a target that closes in order while it is not read has ended, not gone', async () => {
    const { peer, session, endpoint, close } = await paused(make, 'target');
    endpoint.fin();
    peer.resume().end('last words');
    await once(peer, 'close');
    session.open = true;
    endpoint.writable();
    await until('the session was told', () => session.told.length > 0);
    assert.deepEqual([session.text, session.told], ['firstlast words', ['end']]);
    close();
  });

  test('an answer is read although its target closed and writing to it fails', async () => {
    const { peer, session, endpoint } = await paused(make, 'target');
    peer.end('answer', () => peer.destroy());
    await once(peer, 'close');
    // The first is answered by a reset, the second fails.
    for (let n = 0; n < 3; n++) {
      endpoint.data(Buffer.from('too late'));
      await nextRound();
      await nextRound();
    }
    session.open = true;
    endpoint.writable();
    await until('the session was told', () => session.told.includes('connection-reset'));
    assert.deepEqual([session.text, session.told], ['firstanswer', ['end', 'connection-reset']]);
  });
}

/** The session has read the end of a target that has closed altogether: the next bytes are answered by a reset. */
async function closedAltogether(make: MakeEndpoint) {
  const rig = await make('target');
  const session = new FakeByteStream(rig.endpoint);
  rig.endpoint.writable();
  rig.peer.end(() => rig.peer.destroy());
  await until('its end was read', () => session.told.includes('end'));
  if (!rig.peer.closed) await once(rig.peer, 'close');
  return { ...rig, session };
}

function writesThatFail(make: MakeEndpoint): void {
  for (const [what, act] of [
    ['bytes and the end behind them', ['a', 'fin']],
    ['bytes, and more with the end behind them', ['a', 'flush', 'b', 'fin']],
    ['bytes twice', ['a', 'flush', 'b', 'flush']],
  ] as const) {
    test(`${what} for a target that has closed altogether leave nobody waiting`, async () => {
      const { endpoint, session, isClosed } = await closedAltogether(make);
      let isFinDelivered = false;
      session.finDelivered = () => {
        isFinDelivered = true;
      };
      for (const step of act) {
        if (step === 'fin') endpoint.fin();
        else if (step === 'flush') endpoint.flush();
        else endpoint.data(Buffer.from(step));
      }
      // Node tells nobody that a half-close has failed.
      await until('the session is told', () => isFinDelivered || session.told.length === 2);
      if (!isFinDelivered) assert.deepEqual(session.told, ['end', 'connection-reset']);
      await until('the socket is closed', isClosed);
    });
  }
}

/** An endpoint whose other end reads nothing yet, with more bytes than the system takes and a reset. */
async function resetBehindBytes(make: MakeEndpoint) {
  const rig = await make('client');
  rig.peer.pause();
  const session = new FakeByteStream(rig.endpoint);
  const piece = new Uint8Array(64 * 1024).fill(7);
  for (let at = 0; at < LAST_BYTES; at += piece.length) rig.endpoint.data(piece);
  assert.equal(rig.endpoint.reset('connection-reset', 'at the other end'), false);
  await nextRound();
  assert.equal(rig.endCode(), undefined);
  return { ...rig, session };
}

function bytesAndResets(make: MakeEndpoint): void {
  test('a reset waits until the socket has taken what came before it', async () => {
    const { peer, session, endCode } = await resetBehindBytes(make);
    let read = 0;
    peer.on('data', (bytes) => {
      read += bytes.length;
    });
    peer.on('error', () => undefined).resume();
    await until('the session is told', () => session.told.length > 0);
    assert.deepEqual(session.told, ['cancelled']);
    assert.equal(session.bytesDelivered, LAST_BYTES);
    assert.equal(endCode(), 'connection-reset');
    // The system sends no more of what it has taken once the socket is reset.
    assert.ok(read > 0, `${read} bytes`);
    peer.destroy();
  });

  test('a reset by which the other end gives up does not wait', async () => {
    const { endpoint, peer, isClosed, queuedBytes } = await make('client');
    new FakeByteStream(endpoint);
    peer.pause();
    endpoint.data(new Uint8Array(LAST_BYTES));
    endpoint.flush();
    assert.ok(queuedBytes() > 0);
    assert.equal(endpoint.reset('cancelled', 'given up'), true);
    assert.ok(isClosed());
    peer.destroy();
  });

  test('a reset of the stream is one of the connection', async () => {
    const { endpoint, peer } = await make('client');
    new FakeByteStream(endpoint);
    endpoint.writable();
    const failed = once(peer.resume(), 'error');
    assert.equal(endpoint.reset('target-refused', 'nobody listens'), true);
    const [error] = (await failed) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNRESET');
  });

  // A unix socket knows no reset: what comes nearest is what its system says of bytes that nobody read.
  for (const [said, wanted] of [
    ['a query', 'ECONNRESET'],
    ['', 'end'],
  ] as const) {
    test(`a unix client ${said === '' ? 'without' : 'with'} unread bytes, given up`, async () => {
      const { endpoint, peer } = await make('client', newPath());
      new FakeByteStream(endpoint);
      let fate: string | undefined;
      peer.on('error', (error: NodeJS.ErrnoException) => {
        fate = error.code;
      });
      peer.on('end', () => {
        fate = 'end';
      });
      peer.resume();
      if (said !== '') await new Promise((resolve) => peer.write(said, resolve));
      endpoint.reset('session-lost', 'the session was given up');
      await until('the client is told', () => fate !== undefined);
      assert.equal(fate, wanted);
      peer.destroy();
    });
  }

  test('bytes for a reader that pauses wait, come in order, and are delivered then', async () => {
    const { endpoint, peer, queuedBytes, close } = await make('target');
    const session = new FakeByteStream(endpoint);
    peer.pause();
    const all: Uint8Array[] = [];
    // Pieces of all sizes, with their neighbours in the memory behind them.
    const chunk = new Uint8Array(96 * 1024).map((_, n) => (n * 7) >>> 3);
    for (let n = 0; n < 400; n++) {
      const piece = chunk.subarray(n, n + 1 + ((n * 7919) % 60_000));
      all.push(piece);
      endpoint.data(piece);
      if (n % 50 === 49) await nextRound();
    }
    const sent = Buffer.concat(all);
    endpoint.fin();
    assert.ok(queuedBytes() > 0);
    assert.ok(session.bytesDelivered < sent.length, 'what waits is not delivered');
    const received: Buffer[] = [];
    peer.on('data', (bytes: Buffer) => received.push(bytes)).resume();
    await once(peer, 'end');
    assert.ok(Buffer.concat(received).equals(sent));
    await until('all is delivered', () => session.bytesDelivered === sent.length);
    close();
  });
}
