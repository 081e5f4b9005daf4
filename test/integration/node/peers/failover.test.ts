import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import {
  formatAddress,
  parseAddress,
  type TcpAddress,
} from '../../../../packages/proto/src/base/address.ts';
import { GONE_ANSWERS_MIN } from '../../../../packages/routy/src/fabric/gone-evidence.ts';
import { FaultProxy } from '../../../support/faults/fault-proxy.ts';
import { onEachPlane } from '../../../support/nodes/data-planes.ts';
import { credentials, forward, LabNode, LISTEN, service } from '../../../support/nodes/node-lab.ts';
import { dial, echo, serve, until } from '../../../support/sockets/loopback.ts';

// So long that nothing here happens because it is over.
const FABRIC = '[fabric]\nheartbeat_interval = "200ms"\nresume_time = "10m"\n';

/** An address that leads to one machine or another, as a virtual address or a balancer does. */
class Switch {
  readonly address: string;
  readonly #sockets = new Set<Socket>();
  /** Where connections go, in turn. */
  targets: TcpAddress[] = [];
  #turn = 0;

  private constructor(port: number) {
    this.address = `127.0.0.1:${port}`;
  }

  static async start(t: TestContext): Promise<Switch> {
    const server = createServer((socket) => it.#join(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const it = new Switch((server.address() as AddressInfo).port);
    t.after(() => {
      it.cut();
      server.close();
    });
    return it;
  }

  /** Ends every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #join(socket: Socket): void {
    const target = this.targets[this.#turn++ % this.targets.length]!;
    const onward = connect({ host: target.host, port: target.port });
    for (const each of [socket, onward]) {
      this.#sockets.add(each);
      each.on('error', () => undefined);
      each.on('close', () => {
        this.#sockets.delete(each);
        for (const other of [socket, onward]) other.destroy();
      });
    }
    socket.pipe(onward).pipe(socket);
  }
}

interface World {
  readonly red: LabNode;
  readonly address: TcpAddress;
}

/** Two nodes of gray that offer the same, each under its own name, and red that dials `peers`. */
async function startWorld(
  t: TestContext,
  peers: (lanes: Record<'gray1' | 'gray2', TcpAddress>) => string | Promise<string>,
): Promise<World> {
  const start = async (name: 'gray1' | 'gray2'): Promise<LabNode> => {
    // Says its name, then what it hears.
    const target = await serve((socket) => {
      socket.write(name);
      echo(socket);
    });
    t.after(() => target.close());
    const text = LISTEN + service('db', formatAddress(target.address), 'red') + FABRIC;
    const node = await LabNode.start(await credentials('gray', name), text, '10ms');
    t.after(() => node.stop());
    return node;
  };
  const nodes = { gray1: await start('gray1'), gray2: await start('gray2') };
  const lanes = {
    gray1: parseAddress(nodes.gray1.lanes) as TcpAddress,
    gray2: parseAddress(nodes.gray2.lanes) as TcpAddress,
  };
  const text = (await peers(lanes)) + forward('127.0.0.1:0', 'gray/db') + FABRIC;
  const red = await LabNode.start(await credentials('red'), text, '10ms');
  t.after(() => red.stop());
  const address = (await red.reach('gray/db')) as TcpAddress;
  return { red, address };
}

/** A connection through the forward: what it hears at first, and how it ends. */
async function open(address: TcpAddress) {
  const socket = dial(address);
  const state = { socket, heard: '', error: undefined as string | undefined };
  socket.on('data', (data) => {
    state.heard += String(data);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    state.error = error.code;
  });
  await until('it is greeted', () => state.heard.length > 0);
  return state;
}

onEachPlane(() => {
  test('an address that leads to another node now serves with that one; the first is gone', async (t) => {
    const vip = await Switch.start(t);
    let lanesOf: Record<'gray1' | 'gray2', TcpAddress>;
    const { red, address } = await startWorld(t, (lanes) => {
      vip.targets = [lanes.gray1];
      lanesOf = lanes;
      return `[[peer]]\naddress = "${vip.address}"\n`;
    });
    const old = await open(address);
    assert.equal(old.heard, 'gray1');
    vip.targets = [lanesOf!.gray2];
    vip.cut();
    await until('gray2 serves', () => red.peer('gray/gray2')?.session?.offers[0] === 'db');
    assert.equal(red.peer('gray/gray1')?.state, 'suspended');
    assert.equal(old.error, undefined, 'it is not sure yet that gray1 is gone');
    const next = await open(address);
    assert.equal(next.heard, 'gray2');
    await until('the connection of the first is reset', () => old.error === 'ECONNRESET');
    assert.equal(red.peer('gray/gray1'), undefined);
    assert.equal(red.peer('gray/gray2')?.state, 'up');
    const down = red.lines.find(({ event }) => event === 'session-down');
    assert.match(String(down?.msg), /no longer leads to it/);
    next.socket.write('hello');
    await until('the other goes on', () => next.heard === 'gray2hello');
    next.socket.destroy();
  });

  test('a balancer that leads to both brings the connections of the first back', async (t) => {
    const balancer = await Switch.start(t);
    let lanesOf: Record<'gray1' | 'gray2', TcpAddress>;
    const { red, address } = await startWorld(t, (lanes) => {
      balancer.targets = [lanes.gray1];
      lanesOf = lanes;
      return `[[peer]]\naddress = "${balancer.address}"\n`;
    });
    const old = await open(address);
    balancer.targets = [lanesOf!.gray2, lanesOf!.gray1];
    balancer.cut();
    await until('both serve', () =>
      ['gray/gray1', 'gray/gray2'].every((name) => red.peer(name)?.state === 'up'),
    );
    old.socket.write('hello');
    await until('it goes on', () => old.heard === 'gray1hello');
    assert.equal(old.error, undefined);
    old.socket.destroy();
  });

  test('a node whose address refuses while another serves is gone', async (t) => {
    const proxies = new Map<string, FaultProxy>();
    const { red, address } = await startWorld(t, async (lanes) => {
      let toml = '';
      for (const [name, target] of Object.entries(lanes)) {
        const proxy = await FaultProxy.start({ target });
        t.after(() => proxy.close());
        proxies.set(name, proxy);
        toml += `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\n`;
      }
      return toml;
    });
    await until('both serve', () =>
      ['gray/gray1', 'gray/gray2'].every((name) => red.peer(name)?.session?.offers[0] === 'db'),
    );
    const old = await open(address);
    const proxy = proxies.get(old.heard)!;
    proxy.refuse();
    await proxy.cut({ how: 'reset' });
    await until('it is suspended', () => red.peer(`gray/${old.heard}`)?.state === 'suspended');
    const next = await open(address);
    assert.notEqual(next.heard, old.heard);
    await until('the connection of the first is reset', () => old.error === 'ECONNRESET');
    await proxy.accept();
    await until('it is back', () => red.peer(`gray/${old.heard}`)?.state === 'up');
    next.socket.destroy();
  });

  test('a node whose address refuses is waited for while no other serves', async (t) => {
    let proxy: FaultProxy | undefined;
    const { red, address } = await startWorld(t, async ({ gray1: target }) => {
      proxy = await FaultProxy.start({ target });
      return `[[peer]]\naddress = "${proxy.host}:${proxy.port}"\n`;
    });
    t.after(() => proxy!.close());
    const old = await open(address);
    proxy!.refuse();
    await proxy!.cut({ how: 'reset' });
    const attempts = () => red.peer('gray/gray1')?.attempts ?? 0;
    await until('it was refused more often than would do', () => attempts() > GONE_ANSWERS_MIN + 3);
    await proxy!.accept();
    await until('it is back', () => red.peer('gray/gray1')?.state === 'up');
    old.socket.write('hello');
    await until('it goes on', () => old.heard === 'gray1hello');
    old.socket.destroy();
  });
});
