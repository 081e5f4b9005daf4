import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { parseAddress, type TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { FaultProxy } from '../../support/faults/fault-proxy.ts';
import { onMixedPlanes } from '../../support/nodes/data-planes.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../support/nodes/node-lab.ts';
import { dial, echo, hear, serve, talk, until } from '../../support/sockets/loopback.ts';
import { targetProcess } from './forwards/target-process.ts';

const MIB = 1024 * 1024;
const BULK_BYTES = 20 * MIB;
const ANSWER_BYTES = 4096;

/** Red dials gray, the lane goes through a proxy, and clients of either reach the target at the other. */
async function pair(t: TestContext, target: number) {
  const at = (allow: string) => service('x', `127.0.0.1:${target}`, allow);
  const to = (site: string) => forward('127.0.0.1:0', `${site}/x`);
  const gray = await LabNode.start(await credentials('gray'), LISTEN + at('red') + to('red'));
  t.after(() => gray.stop());
  const proxy = await FaultProxy.start({ target: parseAddress(gray.lanes) as TcpAddress });
  t.after(() => proxy.close());
  const peer = `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\n`;
  const red = await LabNode.start(await credentials('red'), peer + at('gray') + to('gray'));
  t.after(() => red.stop());
  const planes = [red, gray].map(({ running }) => running.status().dataPlane.inUse);
  assert.notEqual(planes[0], planes[1]);
  return { red, gray, proxy, addresses: [await red.reach('gray/x'), await gray.reach('red/x')] };
}

async function echoing(t: TestContext): Promise<number> {
  const target = await serve(echo);
  t.after(() => target.close());
  return target.port;
}

/** All that comes from it until its end. */
async function read(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  return Buffer.concat(chunks);
}

onMixedPlanes(() => {
  test('an echo, and 20 MiB both ways at once, each with a half-close behind it', async (t) => {
    const { red, gray, addresses } = await pair(t, await echoing(t));
    for (const address of addresses) {
      assert.equal((await talk(address, 'hello')).data.toString(), 'hello');
    }
    const sent = randomBytes(BULK_BYTES);
    const outcomes = await Promise.all(addresses.map((address) => talk(address, sent)));
    for (const { data, error } of outcomes) {
      assert.equal(error, undefined);
      assert.ok(data.equals(sent));
    }
    for (const node of [red, gray]) {
      const { services, forwards } = node.running.status();
      await until('no stream is left', () => node.peer()?.session?.streams === 0);
      assert.deepEqual([services[0]!.opened, forwards[0]!.opened], [2, 2]);
    }
  });

  test('a target that ends first hears its client on, and the other way round', async (t) => {
    const heard: Promise<Buffer>[] = [];
    const target = await serve((socket) => {
      heard.push(read(socket));
      socket.end('the answer');
    });
    t.after(() => target.close());
    const { addresses } = await pair(t, target.port);
    for (const address of addresses) {
      const client = dial(address);
      assert.equal((await read(client)).toString(), 'the answer');
      client.end('and thanks');
      await once(client, 'close');
    }
    const texts = (await Promise.all(heard)).map(String);
    assert.deepEqual(texts, ['and thanks', 'and thanks']);
  });

  test('an answer with a reset behind it arrives whole, and then the reset', async (t) => {
    const target = await targetProcess(
      t,
      `(socket) => socket.resume().once('data', () =>
        socket.write(Buffer.alloc(${ANSWER_BYTES}), () => socket.resetAndDestroy()))`,
    );
    const { addresses } = await pair(t, target);
    for (const address of addresses) {
      const ask = (): Promise<string> => {
        const client = dial(address);
        client.write('PING');
        return fate(client);
      };
      const outcomes = await Promise.all(Array.from({ length: 50 }, ask));
      assert.deepEqual(new Set(outcomes), new Set([`${ANSWER_BYTES} reset`]));
    }
  });

  test('a client that resets behind its bytes is one that resets for its target', async (t) => {
    const fates: Promise<string>[] = [];
    const target = await serve((socket) => {
      fates.push(fate(socket));
      socket.write('go on');
    });
    t.after(() => target.close());
    const { addresses } = await pair(t, target.port);
    for (const address of addresses) {
      const client = dial(address);
      await once(client, 'data');
      client.write(Buffer.alloc(ANSWER_BYTES), () => client.resetAndDestroy());
    }
    await until('both were served', () => fates.length === 2);
    assert.deepEqual(await Promise.all(fates), Array(2).fill(`${ANSWER_BYTES} reset`));
  });

  test('connections outlive lanes that are cut, and lose and repeat nothing', async (t) => {
    const { red, proxy, addresses } = await pair(t, await echoing(t));
    const sent = randomBytes(BULK_BYTES);
    const clients = addresses.map((address) => dial(address));
    const answers = clients.map((client) => read(client));
    for (const client of clients) client.end(sent);
    for (let cut = 0; cut < 5; cut++) {
      const before = clients[0]!.bytesRead;
      await until('bytes flow', () => clients[0]!.bytesRead > before || clients[0]!.closed);
      await proxy.cut({ how: cut % 2 === 0 ? 'reset' : 'close', tailBytes: 64 * 1024 });
    }
    for (const answer of await Promise.all(answers)) assert.ok(answer.equals(sent));
    const { cutConnections: cuts } = proxy.counters();
    assert.ok(cuts > 1, `${cuts} cuts`);
    assert.equal(red.peer()?.state, 'up');
  });

  test('a target that refuses resets its client at once', async (t) => {
    const target = await serve(echo);
    const { addresses } = await pair(t, target.port);
    await target.close();
    for (const address of addresses) assert.equal((await hear(address)).error, 'ECONNRESET');
  });
});

/** How many bytes came, and whether an end or a reset was behind them. */
function fate(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let bytes = 0;
    let how = 'end';
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    socket.on('error', () => {
      how = 'reset';
    });
    // Libuv may call a reset an end that comes together with the last bytes: writing tells the two apart.
    socket.on('end', () => socket.end('?'));
    socket.on('close', () => resolve(`${bytes} ${how}`));
  });
}
