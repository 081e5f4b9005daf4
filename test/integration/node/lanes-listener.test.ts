import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { before, describe, test } from 'node:test';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import { listenLanes } from '../../../packages/link/src/transport/listen.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/tls/credentials.ts';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import type { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { LanesListener } from '../../../packages/routy/src/node/lanes-listener.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { LaneRecorder, LOOPBACK, listeningPort, until } from '../../support/lanes/lane-pair.ts';

/** Any port of another address of the loopback than `LOOPBACK`. */
const ELSEWHERE: TcpAddress = { kind: 'tcp', host: '127.0.0.2', port: 0 };

let red: TlsCredentials;
let gray: TlsCredentials;

before(async () => {
  const ca = await testCa();
  red = await testCredentials(ca, { site: 'red' });
  gray = await testCredentials(ca, { site: 'gray' });
});

/** A listener of lanes with what it handed out and what it told. */
function rig() {
  const lanes: Lane[] = [];
  const told: string[] = [];
  const listener = new LanesListener({
    listen: listenLanes,
    credentials: () => gray,
    stateDir: '/nonexistent',
    events: {
      laneRefused: ({ code }) => told.push(code),
      enrolment: ({ kind }) => told.push(kind),
      lanesError: (address, { code }) => told.push(`${code} ${address}`),
      lanesListening: (address) => told.push(`listening ${address}`),
    },
    onLane: (lane) => lanes.push(lane),
  });
  return { listener, lanes, told };
}

type Rig = ReturnType<typeof rig>;

function addressOf({ listener }: Rig): TcpAddress {
  return listener.current!.address;
}

/** Dials a lane and gives it back once bytes have gone both ways. */
async function comeIn({ lanes }: Rig, address: TcpAddress) {
  const count = lanes.length;
  const dialled = await dialLane({ address, credentials: red });
  await until('the accepted end', () => lanes.length === count + 1);
  const accepted = lanes[count]!;
  const [here, there] = [new LaneRecorder(), new LaneRecorder()];
  dialled.bind(here);
  accepted.bind(there);
  const exchange = async () => {
    const bytes = here.bytes;
    dialled.write([Uint8Array.of(1)]);
    await until('a byte there', () => there.bytes === bytes + 1);
    accepted.write([Uint8Array.of(2)]);
    await until('a byte back', () => here.bytes === bytes + 1);
    assert.deepEqual([here.closes, there.closes], [[], []]);
  };
  await exchange();
  return { dialled, accepted, exchange };
}

async function finish({ listener, lanes }: Rig, ...dialled: Lane[]): Promise<void> {
  for (const lane of [...lanes, ...dialled]) lane.destroy();
  await listener.close();
}

async function isOpen({ host, port }: TcpAddress): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
    return false;
  } finally {
    socket.destroy();
  }
}

/** Somebody else's listener. */
async function occupy(host: string, port = 0): Promise<Server> {
  const server = createServer();
  server.listen(port, host);
  await listeningPort(server);
  return server;
}

async function vacate(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

describe('the listener for lanes, moved', { timeout: 60_000 }, () => {
  test('lanes that came in live on, new ones come by the new address only', async () => {
    const one = rig();
    await one.listener.listen(LOOPBACK);
    const former = addressOf(one);
    const first = await comeIn(one, former);
    await one.listener.listen(ELSEWHERE);
    assert.equal(addressOf(one).host, '127.0.0.2');
    assert.equal(await isOpen(former), false);
    await first.exchange();
    const second = await comeIn(one, addressOf(one));
    await one.listener.listen(undefined);
    assert.equal(one.listener.current, undefined);
    await first.exchange();
    await second.exchange();
    await finish(one, first.dialled, second.dialled);
    assert.deepEqual(one.told, []);
  });

  test('opens where there was none, closes, and opens again', async () => {
    const one = rig();
    await one.listener.listen(undefined);
    assert.equal(one.listener.current, undefined);
    await one.listener.listen(LOOPBACK);
    const address = addressOf(one);
    assert.equal(await isOpen(address), true);
    await one.listener.listen(undefined);
    assert.equal(await isOpen(address), false);
    await one.listener.listen(address);
    const { dialled } = await comeIn(one, address);
    await finish(one, dialled);
  });

  test('the address it has already is left alone, port 0 too', async () => {
    const one = rig();
    await one.listener.listen(LOOPBACK);
    const { current } = one.listener;
    await one.listener.listen({ ...LOOPBACK });
    assert.equal(one.listener.current, current);
    await finish(one);
  });

  test('an address that cannot be had is refused, and the former goes on', async () => {
    const one = rig();
    const taken = await occupy('127.0.0.2');
    const wanted = { ...ELSEWHERE, port: await listeningPort(taken) };
    await assert.rejects(one.listener.listen(wanted), { code: 'listen-in-use' });
    assert.equal(one.listener.current, undefined);
    await one.listener.listen(LOOPBACK);
    const { current } = one.listener;
    await assert.rejects(one.listener.listen(wanted), { code: 'listen-in-use' });
    const unknown: TcpAddress = { kind: 'tcp', host: '192.0.2.1', port: 0 };
    await assert.rejects(one.listener.listen(unknown), { code: 'listen-no-address' });
    assert.equal(one.listener.current, current);
    const { dialled } = await comeIn(one, addressOf(one));
    await vacate(taken);
    await one.listener.listen(wanted);
    assert.deepEqual(addressOf(one), wanted);
    await finish(one, dialled);
  });

  test('a wider address with the same port takes the place of the narrower, and back', async () => {
    const one = rig();
    await one.listener.listen(LOOPBACK);
    const narrow = addressOf(one);
    const { dialled, exchange } = await comeIn(one, narrow);
    const wide: TcpAddress = { ...narrow, host: '0.0.0.0' };
    await one.listener.listen(wide);
    assert.equal(await isOpen({ ...narrow, host: '127.0.0.2' }), true);
    await exchange();
    await one.listener.listen(narrow);
    assert.equal(await isOpen({ ...narrow, host: '127.0.0.2' }), false);
    assert.equal(await isOpen(narrow), true);
    await exchange();
    await finish(one, dialled);
  });

  test('when the wider address cannot be had, the narrower is open again', async () => {
    const one = rig();
    await one.listener.listen(LOOPBACK);
    const narrow = addressOf(one);
    const { dialled, exchange } = await comeIn(one, narrow);
    const taken = await occupy('127.0.0.2', narrow.port);
    const wide: TcpAddress = { ...narrow, host: '0.0.0.0' };
    await assert.rejects(one.listener.listen(wide), { code: 'listen-in-use' });
    assert.deepEqual(addressOf(one), narrow);
    await exchange();
    const again = await comeIn(one, narrow);
    await vacate(taken);
    await one.listener.listen(wide);
    assert.equal(addressOf(one).host, '0.0.0.0');
    await finish(one, dialled, again.dialled);
  });

  test('closed while it moves, it listens nowhere', async () => {
    const one = rig();
    await one.listener.listen(LOOPBACK);
    const former = addressOf(one);
    const moving = one.listener.listen(ELSEWHERE);
    await one.listener.close();
    await moving;
    assert.equal(await isOpen(former), false);
    assert.equal(await isOpen(addressOf(one)), false);
    await one.listener.listen(LOOPBACK);
    assert.equal(await isOpen(addressOf(one)), false);
  });
});

test('a listener that insists comes when its address can be had', { timeout: 60_000 }, async () => {
  const taken = await occupy('127.0.0.1');
  const address = { ...LOOPBACK, port: await listeningPort(taken) };
  const errors: RoutyError[] = [];
  let reopened = 0;
  const listener = await listenLanes({
    address,
    credentials: () => gray,
    insist: true,
    reopenDelays: { baseMs: 1, capMs: 10 },
    handlers: {
      onLane: (lane) => lane.destroy(),
      onRefused: () => undefined,
      onEnrol: (socket) => socket.destroy(),
      onError: (error) => errors.push(error),
      onReopened: () => {
        reopened += 1;
      },
    },
  });
  assert.equal(errors[0]?.code, 'listen-in-use');
  assert.equal(listener.error?.code, 'listen-in-use');
  await vacate(taken);
  await until('it listens', () => reopened === 1);
  assert.equal(listener.error, undefined);
  const lane = await dialLane({ address, credentials: red });
  lane.destroy();
  await listener.close();
});
