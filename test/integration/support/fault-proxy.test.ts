import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FaultProxy } from '../../support/faults/fault-proxy.ts';
import { until } from '../../support/sockets/loopback.ts';

/** A connection through a proxy, both ends in hand. */
interface Ground {
  readonly proxy: FaultProxy;
  readonly client: End;
  readonly target: End;
  /** Another connection: the client's end and the target's. */
  again(): Promise<readonly [End, End]>;
}

class End {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  error: string | undefined;
  ended = false;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.chunks.push(chunk));
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code;
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }
}

async function ground(t: TestContext): Promise<Ground> {
  const arrived: End[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    arrived.push(new End(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port } });
  const clients: End[] = [];
  t.after(() => {
    proxy.close();
    for (const { socket } of [...clients, ...arrived]) socket.destroy();
    server.close();
  });
  const again = async (): Promise<readonly [End, End]> => {
    const before = arrived.length;
    const options = { host: proxy.host, port: proxy.port, allowHalfOpen: true, noDelay: true };
    const client = new End(connect(options));
    clients.push(client);
    await until('the target has the connection', () => arrived.length > before);
    return [client, arrived[before]!];
  };
  const [client, target] = await again();
  return { proxy, client, target, again };
}

test('without faults it carries bytes and half-close both ways', async (t) => {
  const { proxy, client, target } = await ground(t);
  const bytes = Buffer.alloc(1_000_000, 'up and down ');
  client.socket.end(bytes);
  await until('the target has it all', () => target.ended);
  assert.ok(Buffer.concat(target.chunks).equals(bytes));
  assert.equal(client.ended, false);
  target.socket.end('thanks');
  await until('the client has the answer', () => client.closed);
  assert.equal(client.text, 'thanks');
  await until('the proxy has forgotten it', () => proxy.counters().open === 0);
  const counters = proxy.counters();
  assert.deepEqual(counters.acceptedBytes, { up: 1_000_000, down: 6 });
  assert.deepEqual(counters.deliveredBytes, { up: 1_000_000, down: 6 });
  assert.equal(counters.lostBytes, 0);
});

test('latency delays one direction and not the other', async (t) => {
  const { proxy, client, target } = await ground(t);
  proxy.setFaults('up', { latencyMs: 1_000 });
  const startMs = performance.now();
  client.socket.write('slow');
  target.socket.write('fast');
  await until('the other way passes', () => client.text === 'fast');
  assert.equal(target.text, '');
  await until('it arrives', () => target.text === 'slow');
  assert.ok(performance.now() - startMs >= 999);
});

test('bandwidth is limited for each connection', async (t) => {
  const { proxy, client, target, again } = await ground(t);
  proxy.setFaults('up', { bytesPerSecond: 1_000_000 });
  const [other, otherTarget] = await again();
  // A busy machine only makes it slower: the best of some rounds counts.
  const rounds: number[] = [];
  while (rounds.length < 5 && !rounds.some((ms) => ms < 590)) {
    const arrived = target.bytes + otherTarget.bytes;
    const startMs = performance.now();
    for (const { socket } of [client, other]) socket.write(Buffer.alloc(300_000));
    await until('both have arrived', () => target.bytes + otherTarget.bytes === arrived + 600_000);
    rounds.push(performance.now() - startMs);
  }
  const best = Math.min(...rounds);
  assert.ok(best >= 270 && best < 590, `300 kB on each of two connections took ${rounds} ms`);
});

test('a stall keeps the bytes of one direction, a heal delivers them', async (t) => {
  const { proxy, client, target } = await ground(t);
  proxy.setFaults('up', { stalled: true });
  client.socket.write('kept');
  target.socket.write('passes');
  await until('the other way passes', () => client.text === 'passes');
  await until('the proxy has taken it', () => proxy.counters().acceptedBytes.up === 4);
  assert.equal(target.bytes, 0);
  proxy.setFaults('up', { stalled: false });
  await until('it arrives', () => target.text === 'kept');
});

test('a stalled sender is held back in the end', async (t) => {
  const { proxy, client } = await ground(t);
  proxy.setFaults('up', { stalled: true });
  client.socket.write(Buffer.alloc(64 * 1024 * 1024));
  await until('some was taken', () => proxy.counters().acceptedBytes.up > 1_000_000);
  await until('no more is taken', () => client.socket.writableLength > 0);
  assert.ok(proxy.counters().acceptedBytes.up < 16 * 1024 * 1024);
});

test('a cut loses what was taken and resets both ends', async (t) => {
  const { proxy, client, target } = await ground(t);
  client.socket.write('delivered');
  await until('it arrives', () => target.text === 'delivered');
  const cut = proxy.cut({ how: 'reset', tailBytes: 5, tailMs: 2_000 });
  client.socket.write('a tail');
  assert.equal(await cut, 6);
  await until('both ends know', () => client.error !== undefined && target.error !== undefined);
  assert.deepEqual([client.error, target.error], ['ECONNRESET', 'ECONNRESET']);
  assert.equal(target.text, 'delivered');
  await until('the proxy has forgotten it', () => proxy.counters().open === 0);
  const { lostBytes, cutConnections, open } = proxy.counters();
  assert.deepEqual(
    { lostBytes, cutConnections, open },
    { lostBytes: 6, cutConnections: 1, open: 0 },
  );
});

test('a cut that closes looks like a clean end, which it is not', async (t) => {
  const { proxy, client, target } = await ground(t);
  const cut = proxy.cut({ how: 'close', tailBytes: 1, tailMs: 2_000 });
  client.socket.write('lost');
  assert.equal(await cut, 4);
  await until('both ends have an end', () => client.ended && target.ended);
  assert.equal(target.bytes, 0);
});

test('a reset of one end reaches the other', async (t) => {
  const { client, target } = await ground(t);
  client.socket.resetAndDestroy();
  await until('the target knows', () => target.error === 'ECONNRESET');
});

test('slices of one byte arrive whole, in many pieces', async (t) => {
  const { proxy, client, target } = await ground(t);
  proxy.setFaults('both', { sliceBytes: 1 });
  const bytes = Buffer.from('0123456789'.repeat(200));
  client.socket.write(bytes);
  await until('it arrives', () => target.bytes === bytes.length);
  assert.ok(Buffer.concat(target.chunks).equals(bytes));
  assert.ok(target.chunks.length > 100, `${target.chunks.length} pieces`);
});

test('corrupting turns one bit', async (t) => {
  const { proxy, client, target } = await ground(t);
  proxy.corrupt('up');
  client.socket.write('aaaa');
  await until('it arrives', () => target.bytes === 4);
  assert.equal(target.text, '`aaa');
  assert.equal(proxy.counters().corruptedBytes, 1);
});

test('half-open: one side is gone and the other does not know', async (t) => {
  const { proxy, client, target } = await ground(t);
  proxy.halfOpen('client');
  await until('the client knows', () => client.error === 'ECONNRESET');
  target.socket.write('is anybody there?');
  await until('the proxy swallows it', () => proxy.counters().acceptedBytes.down === 17);
  assert.deepEqual([target.closed, target.ended, target.error], [false, false, undefined]);
  assert.equal(proxy.counters().halfOpened, 1);
  target.socket.destroy();
  await until('the proxy has forgotten it', () => proxy.counters().open === 0);
  assert.equal(proxy.counters().lostBytes, 17);
});

test('it refuses new connections, keeps the old, and accepts again on the same port', async (t) => {
  const { proxy, client, target, again } = await ground(t);
  proxy.refuse();
  const refused = new End(connect({ host: proxy.host, port: proxy.port }));
  await until('it is refused', () => refused.error !== undefined);
  assert.equal(refused.error, 'ECONNREFUSED');
  client.socket.write('still here');
  await until('it arrives', () => target.text === 'still here');
  await proxy.accept();
  const [next, nextTarget] = await again();
  next.socket.write('back');
  await until('it arrives', () => nextTarget.text === 'back');
  assert.equal(proxy.counters().connections, 2);
});

test('a target that does not answer resets the client and is counted', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  const proxy = await FaultProxy.start({ target: { host: '127.0.0.1', port } });
  t.after(() => proxy.close());
  const client = new End(connect({ host: proxy.host, port: proxy.port }));
  await until('the client knows', () => client.error === 'ECONNRESET');
  assert.equal(proxy.counters().unanswered, 1);
});
