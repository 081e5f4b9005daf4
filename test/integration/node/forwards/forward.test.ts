import assert from 'node:assert/strict';
import { once } from 'node:events';
import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type {
  OpenHandlers,
  OpenRequest,
  SessionDriverApi,
} from '../../../../packages/link/src/driver/driver-types.ts';
import type { ByteReceiver } from '../../../../packages/link/src/streams/byte-stream.ts';
import { type Address, parseAddress } from '../../../../packages/proto/src/base/address.ts';
import type { ForwardConfig } from '../../../../packages/routy/src/config/types.ts';
import { Forward, type ForwardHost } from '../../../../packages/routy/src/forwards/forward.ts';
import type { LiveSession } from '../../../../packages/routy/src/sessions/live-sessions.ts';
import { onEachPlane, planeSockets } from '../../../support/nodes/data-planes.ts';
import { EchoStream } from '../../../support/sockets/fake-byte-stream.ts';
import { dial, serve, talk, until } from '../../../support/sockets/loopback.ts';

const directory = mkdtempSync(join(tmpdir(), 'routy-forward-'));
after(() => rmSync(directory, { recursive: true }));

type Open = (request: OpenRequest, receiver: ByteReceiver, handlers: OpenHandlers) => void;

/** A session whose streams are handled by `open`; nothing else of it is used by a forward. */
function fakeSession(node: string, open: Open): LiveSession {
  const peer = { fabric: 'f', site: 'gray', node };
  return {
    driver: { peer, sessionId: node, established: true, open } as SessionDriverApi,
    peer,
    name: `gray/${node}`,
    remoteAddress: '',
    security: '',
    establishedAtMs: 0,
    sinceMs: 0,
    offersLeftOut: 0,
    trouble: undefined,
  };
}

/** Accepts the stream and echoes, as a session with an echo target behind it. */
const echoing: Open = (_request, receiver, handlers) => {
  handlers.onAccepted({ version: 1, capabilities: [] });
  new EchoStream(receiver).receiver.writable();
};

function start(listen: Address, unavailable: ForwardConfig['unavailable'], live: LiveSession[]) {
  const refusals: string[] = [];
  const sockets = planeSockets();
  const host: ForwardHost = {
    candidates: () => [...live],
    isReachable: () => live.length > 0,
    whyUnreachable: () => 'no session to site gray',
    nowMs: () => Date.now(),
    retryDelayMs: () => 10,
    onState: () => undefined,
    onAcceptError: () => undefined,
    onRefused: (_forward, code) => refusals.push(code),
    onOpened: () => undefined,
    makeServer: sockets && ((handlers) => sockets.server(handlers)),
  };
  const forward = new Forward(
    {
      listen,
      to: { site: 'gray', service: 'db' },
      unavailable,
      connectTimeoutMs: 60_000,
      keepaliveMs: 0,
      clients: undefined,
      socket: { owner: undefined, group: undefined, mode: undefined },
    },
    host,
  );
  forward.start();
  return { forward, refusals, address: () => parseAddress(forward.status().listen)! };
}

const anyPort: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };

onEachPlane(() => {
  test('a forward listens while its service is offered, on the same port each time', async () => {
    const live: LiveSession[] = [];
    const { forward, address } = start(anyPort, { kind: 'refuse' }, live);
    assert.equal(forward.status().state, 'unavailable');
    assert.equal(forward.status().reason, 'no session to site gray');

    live.push(fakeSession('gray1', echoing));
    forward.update();
    await until('it listens', () => forward.status().state === 'listening');
    const first = address();
    assert.equal((await talk(first, 'hello')).data.toString(), 'hello');
    assert.equal(forward.status().last?.detail, 'connected');
    assert.equal(forward.status().last?.peer, 'gray/gray1');

    const session = live.pop()!;
    forward.update();
    assert.equal((await talk(first)).error, 'ECONNREFUSED');

    live.push(session);
    forward.update();
    await until('it listens again', () => forward.status().state === 'listening');
    assert.deepEqual(address(), first);
    forward.stop();
    assert.equal((await talk(first)).error, 'ECONNREFUSED');
  });

  test('a holding forward keeps clients until the service comes, or resets them in time', async () => {
    const live: LiveSession[] = [];
    const patient = start(anyPort, { kind: 'hold', ms: 60_000 }, live);
    await until('it holds', () => patient.forward.status().state === 'holding');
    const first = dial(patient.address());
    await once(first, 'connect');
    const held = talk(patient.address(), 'late');
    live.push(fakeSession('gray1', echoing));
    patient.forward.update();
    assert.equal((await held).data.toString(), 'late');
    first.destroy();
    patient.forward.stop();

    const hasty = start(anyPort, { kind: 'hold', ms: 30 }, []);
    await until('it holds', () => hasty.forward.status().state === 'holding');
    const outcomes = await Promise.all([talk(hasty.address(), 'a'), talk(hasty.address(), 'b')]);
    assert.deepEqual(
      outcomes.map(({ connected, error }) => ({ connected, error })),
      [1, 2].map(() => ({ connected: true, error: 'ECONNRESET' })),
    );
    assert.deepEqual(hasty.refusals, ['unavailable', 'unavailable']);
    assert.equal(hasty.forward.status().last?.detail, 'unavailable: no session to site gray');
    hasty.forward.stop();
  });

  test('a client refused by a draining session goes to the next one', async () => {
    let handedBack = false;
    const draining: Open = (_request, receiver, handlers) => {
      handedBack = handlers.onRefused?.('draining', 'bye') === true;
      if (!handedBack) receiver.reset('draining', 'bye');
    };
    const live = [fakeSession('gray1', draining), fakeSession('gray2', echoing)];
    const { forward, address } = start(anyPort, { kind: 'refuse' }, live);
    await until('it listens', () => forward.status().state === 'listening');
    assert.equal((await talk(address(), 'hello')).data.toString(), 'hello');
    assert.equal(handedBack, true);
    assert.equal(forward.status().last?.peer, 'gray/gray2');
    forward.stop();
  });

  test('a refused stream is counted with its reason and other refusals are not retried', async () => {
    const refusing: Open = (_request, receiver, handlers) => {
      assert.equal(handlers.onRefused?.('target-refused', 'nobody there'), false);
      receiver.reset('target-refused', 'nobody there');
    };
    const live = [fakeSession('gray1', refusing), fakeSession('gray2', echoing)];
    const { forward, refusals, address } = start(anyPort, { kind: 'refuse' }, live);
    await until('it listens', () => forward.status().state === 'listening');
    assert.equal((await talk(address(), 'hello')).error, 'ECONNRESET');
    assert.deepEqual(refusals, ['target-refused']);
    assert.equal(forward.status().last?.detail, 'target-refused: nobody there');
    assert.equal(forward.status().streams, 0);
    forward.stop();
  });

  test('the open names service, source and destination', async () => {
    const requests: OpenRequest[] = [];
    const recording: Open = (request, receiver, handlers) => {
      requests.push(request);
      echoing(request, receiver, handlers);
    };
    const { forward, address } = start(anyPort, { kind: 'refuse' }, [
      fakeSession('gray1', recording),
    ]);
    await until('it listens', () => forward.status().state === 'listening');
    const at = address();
    await talk(at, 'x');
    const [request] = requests;
    assert.equal(request?.protocol, 'tcp');
    assert.equal(request.service, 'db');
    assert.equal(request.source?.address, '127.0.0.1');
    assert.equal(request.destination?.port, at.kind === 'tcp' ? at.port : undefined);
    forward.stop();
  });

  test('a unix socket has mode 0660, replaces a stale file and goes with the forward', async () => {
    const path = join(directory, 'db.sock');
    // A server whose process is killed leaves its file; a second name of it outlives an ordered close.
    const stale = createServer().listen(join(directory, 'live.sock'));
    await until('it listens', () => stale.listening);
    linkSync(join(directory, 'live.sock'), path);
    stale.close();

    const { forward, address } = start({ kind: 'unix', path }, { kind: 'refuse' }, [
      fakeSession('gray1', echoing),
    ]);
    await until('it listens', () => forward.status().state === 'listening');
    assert.equal(statSync(path).mode & 0o777, 0o660);
    assert.equal((await talk(address(), 'hello')).data.toString(), 'hello');
    forward.stop();
    assert.equal(statSync(path, { throwIfNoEntry: false }), undefined);
  });

  test('what is not a stale socket is left alone and said, and listening begins when it goes', async () => {
    const file = join(directory, 'precious');
    writeFileSync(file, 'data');
    const onFile = start({ kind: 'unix', path: file }, { kind: 'refuse' }, [
      fakeSession('gray1', echoing),
    ]);
    await until('it fails', () => onFile.forward.status().state === 'error');
    assert.match(onFile.forward.status().reason ?? '', /EADDRINUSE/);
    assert.equal(statSync(file).isFile(), true);
    onFile.forward.stop();

    const other = await serve(() => undefined);
    const onPort = start(other.address, { kind: 'refuse' }, [fakeSession('gray1', echoing)]);
    await until('it fails', () => onPort.forward.status().state === 'error');
    assert.match(onPort.forward.hint ?? '', /another process has that port/);
    await other.close();
    await until('it listens', () => onPort.forward.status().state === 'listening');
    assert.equal((await talk(onPort.address(), 'hello')).data.toString(), 'hello');
    onPort.forward.stop();
  });

  test('removing a forward resets its connections, stopping it does not', async () => {
    const { forward, address } = start(anyPort, { kind: 'refuse' }, [
      fakeSession('gray1', echoing),
    ]);
    await until('it listens', () => forward.status().state === 'listening');
    const client = dial(address());
    let error: string | undefined;
    client.on('error', (cause: NodeJS.ErrnoException) => {
      error = cause.code;
    });
    await until('the stream is open', () => forward.streams === 1);
    forward.stop();
    client.resume().write('still here');
    await until('the echo comes', () => client.bytesRead === 10);
    assert.equal(forward.resetStreams(), 1);
    await until('the client is reset', () => error === 'ECONNRESET');
    await until('the stream is gone', () => forward.streams === 0);
  });
});
