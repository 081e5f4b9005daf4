import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type {
  IncomingStream,
  OpenRequest,
} from '../../../../packages/link/src/driver/driver-types.ts';
import type { ByteReceiver } from '../../../../packages/link/src/streams/byte-stream.ts';
import { resolveFailure } from '../../../../packages/link/src/transport/failures.ts';
import { names as systemNames } from '../../../../packages/link/src/transport/names/names.ts';
import type { Address } from '../../../../packages/proto/src/base/address.ts';
import type { ServiceConfig } from '../../../../packages/routy/src/config/types.ts';
import { Services } from '../../../../packages/routy/src/services/services.ts';
import type { NameLookup } from '../../../../packages/routy/src/services/target-connection.ts';
import type { ServiceRefusal } from '../../../../packages/routy/src/status/results.ts';
import { onEachPlane, planeSockets } from '../../../support/nodes/data-planes.ts';
import { FakeByteStream } from '../../../support/sockets/fake-byte-stream.ts';
import { dial, echo, serve, until } from '../../../support/sockets/loopback.ts';

const peer = { fabric: 'f', site: 'gray', node: 'gray1' };

class FakeStream implements IncomingStream {
  readonly request: OpenRequest;
  onCancel: (() => void) | undefined;
  bytes: FakeByteStream | undefined;
  answers: string[] = [];

  constructor(service: string, request: Partial<OpenRequest> = {}) {
    const unknown = { source: undefined, destination: undefined };
    this.request = {
      protocol: 'tcp',
      versions: [1],
      capabilities: [],
      service,
      ...unknown,
      ...request,
    };
  }

  accept(receiver: ByteReceiver): void {
    this.answers.push('accepted');
    this.bytes = new FakeByteStream(receiver);
    receiver.writable();
  }

  /** The peer says something. */
  say(text: string): void {
    this.bytes!.receiver.data(Buffer.from(text));
  }

  /** The peer gives up. */
  cut(): void {
    this.bytes!.receiver.reset('cancelled', 'given up');
  }

  refuse(code: string, reason: string): void {
    this.answers.push(`${code}: ${reason}`);
  }

  reset(code: string, reason: string): void {
    this.answers.push(`reset ${code}: ${reason}`);
    if (this.bytes !== undefined) this.cut();
  }
}

function service(target: Address, more: Partial<ServiceConfig> = {}): ServiceConfig {
  const defaults = { name: 'db', allow: ['gray'], proxyProtocol: undefined, source: undefined };
  return { ...defaults, target, connectTimeoutMs: 5000, keepaliveMs: 0, ...more };
}

function start(config: ServiceConfig, names?: NameLookup) {
  const refusals: ServiceRefusal[] = [];
  const services = new Services([config], {
    nowMs: () => Date.now(),
    onRefused: (refusal) => refusals.push(refusal),
    onOpened: () => undefined,
    names,
    sockets: planeSockets(),
  });
  const open = async (stream: FakeStream): Promise<FakeStream> => {
    services.onStream(stream, peer);
    await until('the stream is answered', () => stream.answers.length > 0);
    return stream;
  };
  return { services, refusals, open };
}

onEachPlane(() => {
  test('an allowed stream reaches the target', async () => {
    const received: string[] = [];
    const target = await serve((socket) =>
      socket.on('data', (data) => received.push(String(data))),
    );
    const { services, open } = start(service(target.address));
    assert.deepEqual(services.offersFor(peer), ['db']);
    const stream = await open(new FakeStream('db'));
    assert.deepEqual(stream.answers, ['accepted']);
    stream.say('hello');
    await until('the target has it', () => received.join('') === 'hello');
    const [status] = services.all().map((each) => each.status());
    assert.deepEqual([status?.streams, status?.opened, status?.refused], [1, 1, 0]);
    assert.equal(status?.last?.detail, 'connected');
    assert.equal(status.last.peer, 'gray/gray1');
    stream.cut();
    await until('the stream is gone', () => services.get('db')!.streams.size === 0);
    await target.close();
  });

  test('each reason to refuse has its code', async () => {
    const target = await serve(() => undefined);
    const { services, refusals, open } = start(service(target.address));
    const answers = async (stream: FakeStream) => (await open(stream)).answers;

    assert.deepEqual(await answers(new FakeStream('nope')), [
      'unknown-service: no service nope here',
    ]);
    assert.deepEqual(await answers(new FakeStream('db', { protocol: 'udp' })), [
      'unsupported-protocol: there is no protocol udp',
    ]);
    assert.deepEqual(await answers(new FakeStream('db', { versions: [2, 3] })), [
      'unsupported-version: tcp was asked for in versions 2, 3, and is spoken in version 1',
    ]);
    services.put(service(target.address, { allow: ['red', 'gray/gray2'] }));
    assert.deepEqual(await answers(new FakeStream('db')), [
      'not-allowed: gray/gray1 is not in allow of service db',
    ]);
    assert.deepEqual(services.offersFor(peer), []);

    await target.close();
    services.put(service(target.address));
    assert.deepEqual(await answers(new FakeStream('db')), [
      `target-refused: target 127.0.0.1:${target.port}: ECONNREFUSED`,
    ]);
    services.put(service({ kind: 'unix', path: '/nonexistent/db.sock' }));
    assert.deepEqual(await answers(new FakeStream('db')), [
      'target-unreachable: target unix:/nonexistent/db.sock: ENOENT',
    ]);
    services.drain();
    assert.deepEqual(await answers(new FakeStream('db')), ['draining: this node drains']);
    assert.deepEqual(
      refusals.map((refusal) => refusal.code),
      [
        'unknown-service',
        'unsupported-protocol',
        'unsupported-version',
        'not-allowed',
        'target-refused',
        'target-unreachable',
        'draining',
      ],
    );
    assert.equal(services.get('db')!.tally.refused, 6);
  });

  const SLEEPER = `
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    process.stdout.write(String(server.address().port));
  });
`;

  /** A listener whose process is stopped and whose backlog is full: further connects get no answer. */
  async function deafListener(): Promise<{ address: Address; close(): void }> {
    const child = spawn(process.execPath, ['-e', SLEEPER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [port] = await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    const address: Address = { kind: 'tcp', host: '127.0.0.1', port: Number(port) };
    const fillers = Array.from({ length: 8 }, () => dial(address).on('error', () => undefined));
    await until('the backlog is full', () => fillers.some((socket) => !socket.connecting));
    return {
      address,
      close: () => {
        for (const socket of fillers) socket.destroy();
        child.kill('SIGKILL');
      },
    };
  }

  test('a target that does not answer is given up in time', async () => {
    const target = await deafListener();
    const { services, open } = start(service(target.address, { connectTimeoutMs: 50 }));
    const stream = await open(new FakeStream('db'));
    assert.equal(stream.answers.length, 1);
    assert.match(stream.answers[0]!, /^target-timeout: no answer from target 127.* in 50 ms$/);
    assert.equal(services.get('db')!.streams.size, 0);
    target.close();
  });

  /** Names that resolve to these addresses; others are never answered for. */
  function namesOf(known: Record<string, string[]>): NameLookup {
    return {
      resolve: (host, signal) => {
        if (host === 'localhost') return systemNames.resolve(host, signal);
        const addresses = known[host];
        if (addresses !== undefined) return Promise.resolve(addresses);
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    };
  }

  function named(host: string, { port }: { port: number }): Address {
    return { kind: 'tcp', host, port };
  }

  test('a target whose first address is silent is reached by the next, then at once', async () => {
    const silent = await deafListener();
    const { port } = silent.address as { port: number };
    const received: string[] = [];
    const well = await serve(
      (socket) => {
        socket.on('data', (data) => received.push(String(data)));
      },
      { host: '127.0.0.2', port },
    );
    const names = namesOf({ 'db.example': ['127.0.0.1', '127.0.0.2'] });
    const { open } = start(service(named('db.example', { port })), names);
    const stream = await open(new FakeStream('db'));
    assert.deepEqual(stream.answers, ['accepted']);
    await until('the next one has it', () => well.sockets.size === 1);
    const again = await open(new FakeStream('db'));
    await until('the next one has it too', () => well.sockets.size === 2);
    again.say('hello');
    await until('the target has it', () => received.join('') === 'hello');
    for (const each of [stream, again]) each.cut();
    silent.close();
    await well.close();
  });

  test('a name nobody answers for is another reason than a silent target', async () => {
    const target = await serve(() => undefined);
    const slow = service(named('dead.example', target), { connectTimeoutMs: 300 });
    const { services, refusals, open } = start(slow, namesOf({}));
    services.put(service(named('localhost', target), { name: 'local' }));
    const waiting = Array.from({ length: 8 }, () => open(new FakeStream('db')));
    const local = await open(new FakeStream('local'));
    assert.deepEqual(local.answers, ['accepted']);
    for (const { answers } of await Promise.all(waiting)) {
      assert.deepEqual(answers, [
        'name-timeout: the name server did not answer for dead.example within 300 ms',
      ]);
    }
    assert.equal(refusals.length, 8);
    assert.equal(services.get('db')!.streams.size, 0);
    local.cut();
    await target.close();
  });

  test('a name that does not exist is said to be that', async () => {
    const names: NameLookup = {
      resolve: (host) => {
        const cause = Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), {
          code: 'ENOTFOUND',
        });
        return Promise.reject(resolveFailure(host, cause));
      },
    };
    const { open } = start(service({ kind: 'tcp', host: 'nobody.example', port: 1 }), names);
    const { answers } = await open(new FakeStream('db'));
    assert.deepEqual(answers, [
      'name-unknown: cannot resolve nobody.example: getaddrinfo ENOTFOUND nobody.example',
    ]);
  });

  test('a peer that gives up, or a removed service, ends the lookup', async () => {
    const { services } = start(
      service({ kind: 'tcp', host: 'dead.example', port: 1 }),
      namesOf({}),
    );
    const stream = new FakeStream('db');
    services.onStream(stream, peer);
    stream.onCancel!();
    assert.equal(services.get('db')!.streams.size, 0);
    const other = new FakeStream('db');
    services.onStream(other, peer);
    assert.equal(services.remove('db'), 1);
    assert.deepEqual(stream.answers, []);
    assert.deepEqual(other.answers, ['cancelled: closed here while connecting']);
  });

  test('a peer that gives up ends the connect', async () => {
    const target = await serve(() => undefined);
    const { services } = start(service(target.address));
    const stream = new FakeStream('db');
    services.onStream(stream, peer);
    assert.equal(services.get('db')!.streams.size, 1);
    stream.onCancel!();
    assert.equal(services.get('db')!.streams.size, 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(stream.answers, []);
    await target.close();
  });

  test('the PROXY header comes before everything else', async () => {
    const received: Buffer[] = [];
    const target = await serve((socket) =>
      socket.on('data', (data: Buffer) => received.push(data)),
    );
    const { open } = start(service(target.address, { proxyProtocol: 'v1' }));
    const stream = await open(
      new FakeStream('db', {
        source: { address: '10.0.0.1', port: 1234 },
        destination: { address: '10.0.0.2', port: 5432 },
      }),
    );
    stream.say('hello');
    const expected = 'PROXY TCP4 10.0.0.1 10.0.0.2 1234 5432\r\nhello';
    await until('it is there', () => Buffer.concat(received).length >= expected.length);
    assert.equal(Buffer.concat(received).toString(), expected);
    stream.cut();
    await target.close();
  });

  test('the PROXY header does not wait for a client that says nothing', async () => {
    const target = await serve((socket) => {
      socket.once('data', (header) => socket.write(`greetings to ${String(header)}`));
    });
    const { open } = start(service(target.address, { proxyProtocol: 'v1' }));
    const stream = await open(new FakeStream('db'));
    await until('the target greets', () => stream.bytes!.text === 'greetings to PROXY UNKNOWN\r\n');
    stream.cut();
    await target.close();
  });

  test('a target at a unix socket is reached, half-closed and reset as one over TCP', async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'routy-target-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const target = await serve(echo, { path: join(directory, 'db.sock') });
    const { services, open } = start(service(target.address));
    const stream = await open(new FakeStream('db'));
    stream.say('hello');
    await until('it answers', () => stream.bytes!.text === 'hello');
    stream.bytes!.receiver.fin();
    await until('it ends', () => stream.bytes!.told.includes('end'));
    const given = await open(new FakeStream('db'));
    await until('both are there', () => target.sockets.size >= 1);
    given.cut();
    await until('it is closed', () => target.sockets.size === 0);
    services.put(service({ kind: 'unix', path: join(directory, 'x'.repeat(120)) }));
    const [answer] = (await open(new FakeStream('db'))).answers;
    assert.match(answer!, /^target-unreachable: /);
    await target.close();
  });

  test('removing a service or a peer from allow resets streams, other changes do not', async () => {
    const target = await serve(() => undefined);
    const { services, open } = start(service(target.address));
    const first = await open(new FakeStream('db'));
    services.put(service(target.address, { connectTimeoutMs: 1, allow: ['gray', 'red'] }));
    const db = services.get('db')!;
    assert.equal(db.resetStreams('no-longer-allowed'), 0);
    services.put(service(target.address, { allow: ['red'] }));
    assert.equal(db.resetStreams('no-longer-allowed'), 1);
    await until('the stream is gone', () => db.streams.size === 0);
    assert.deepEqual(first.bytes!.told, ['connection-reset']);

    services.put(service(target.address));
    const second = new FakeStream('db');
    services.onStream(second, peer);
    assert.equal(services.remove('db'), 1);
    await until('the stream is answered', () => second.answers.length > 0);
    assert.deepEqual(second.answers, ['cancelled: closed here while connecting']);
    await target.close();
  });

  test('a peer that comes back is judged anew, stream by stream', async () => {
    const target = await serve(() => undefined);
    const { services, open, refusals } = start(service(target.address));
    services.put(service(target.address, { name: 'other' }));
    const streams = await Promise.all(
      ['db', 'other', 'db'].map((name) => open(new FakeStream(name))),
    );
    assert.equal(services.recheck(peer), 0);
    services.put(service(target.address, { allow: ['red'] }));
    assert.equal(services.recheck({ ...peer, node: 'gray2' }), 0);
    assert.equal(services.recheck(peer), 2);
    assert.deepEqual(
      streams.map(({ answers }) => answers.at(-1)),
      [
        'reset not-allowed: gray/gray1 is not in allow of service db',
        'accepted',
        'reset not-allowed: gray/gray1 is not in allow of service db',
      ],
    );
    assert.deepEqual(
      refusals.map(({ code }) => code),
      ['not-allowed', 'not-allowed'],
    );
    await until('they are gone', () => services.get('db')!.streams.size === 0);
    assert.equal(services.recheck(peer), 0);
    services.remove('other');
    assert.equal(services.recheck(peer), 1);
    assert.match(streams[1]!.answers.at(-1)!, /^reset unknown-service/);
    await target.close();
  });
});
