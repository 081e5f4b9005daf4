import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import { ALPN_ENROL, TLS_PROFILE } from '../../../packages/link/src/transport/tls/tls-context.ts';
import { formatHostPort, type TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { serveEnrolment } from '../../../packages/routy/src/enrol/enrol-join.ts';
import type {
  EnrolmentEvent,
  EnrolmentLog,
} from '../../../packages/routy/src/enrol/enrol-protocol.ts';
import { loadCredentials } from '../../../packages/routy/src/pki/node/credentials.ts';
import { initFabric } from '../../../packages/routy/src/pki/node/init.ts';

/** Long before the tests' deadline, and long enough for a busy machine. */
export const LAB_STEP_MS = 5_000;
/** The deadline in tests where it is meant to run out. */
export const SHORT_STEP_MS = 400;
/** An event that has not come by then never will. */
const EVENT_WAIT_MS = 20_000;

/** A directory that is removed when the test ends. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'routy-pki-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** The error of a promise that must reject with this code. */
export async function rejection(promise: Promise<unknown>, code: string): Promise<RoutyError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof RoutyError, `not a RoutyError: ${String(error)}`);
    assert.equal(error.code, code, `${error.code}: ${error.message}`);
    return error;
  }
  assert.fail(`should have failed with ${code}`);
}

/** Events in order; `next` waits for the one after those taken so far. */
export class EventLog {
  readonly all: EnrolmentEvent[] = [];
  #taken = 0;
  #wake: (() => void) | undefined;
  readonly log = (event: EnrolmentEvent): void => {
    this.all.push(event);
    this.#wake?.();
  };

  async next(): Promise<EnrolmentEvent> {
    while (this.all.length <= this.#taken) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no event came')), EVENT_WAIT_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.all[this.#taken++]!;
  }

  /** The next event, which must be our refusal with this code. */
  async refusal(code: string): Promise<void> {
    const event = await this.next();
    assert.equal(event.kind, 'refused');
    assert.equal(event.code, code, event.reason);
    assert.notEqual(event.reason, '');
  }
}

export interface EnrolmentServer extends TlsServer {
  readonly events: EventLog;
}

interface ServerOptions {
  /** Shown instead of the node's own certificate. */
  readonly shown?: { readonly cert: string; readonly key: string };
  readonly stepMs?: number;
  readonly now?: () => number;
}

/** A listener that does what a node does with ALPN `routy-enrol/1`. */
export async function startEnrolmentServer(
  t: TestContext,
  stateDir: string,
  options: ServerOptions = {},
): Promise<EnrolmentServer> {
  const { certChainPem: cert, keyPem: key } = await loadCredentials(stateDir);
  const { shown, ...serving } = options;
  const events = new EventLog();
  const { log } = events;
  const server = await startTlsServer(t, {
    ...(shown ?? { cert, key }),
    serve: (socket) => {
      const remote = remoteOf(socket);
      return serveEnrolment(socket, { stateDir, remote, log, stepMs: LAB_STEP_MS, ...serving });
    },
    log,
  });
  return { ...server, events };
}

/** `host:port` of the other end, `unknown` when it is gone. */
function remoteOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return 'unknown';
  return formatHostPort(remoteAddress, remotePort);
}

interface TlsServer {
  readonly address: TcpAddress;
  /** Resolves when the server has closed every connection so far. */
  idle(): Promise<unknown>;
}

/** A TLS listener for `routy-enrol/1` with any certificate and behaviour. */
export async function startTlsServer(
  t: TestContext,
  options: {
    readonly cert: string;
    readonly key: string;
    readonly serve: (socket: TLSSocket) => Promise<void>;
    readonly log?: EnrolmentLog;
  },
): Promise<TlsServer> {
  const { cert, key } = options;
  const sockets = new Set<Socket>();
  const server = createServer({ cert, key, ...TLS_PROFILE, ALPNProtocols: [ALPN_ENROL] });
  const serving: Promise<void>[] = [];
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.on('secureConnection', (socket) => serving.push(options.serve(socket)));
  // A client that leaves as soon as it has seen our certificate may be gone before the handshake is.
  server.on('tlsClientError', (error, socket) => {
    const remote = remoteOf(socket);
    options.log?.({ kind: 'refused', remote, code: 'enrol-lost', reason: error.message, by: 'us' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    // A rejection here is one that would have ended the node.
    await Promise.all(serving);
  });
  const { port } = server.address() as AddressInfo;
  const idle = (): Promise<unknown> =>
    Promise.all(
      [...sockets]
        .filter((socket) => !socket.destroyed)
        .map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
  return { address: { kind: 'tcp', host: '127.0.0.1', port }, idle };
}

export interface Fabric extends EnrolmentServer {
  readonly stateDir: string;
}

/** A fabric `lab` whose CA's node `gray/gray1` serves enrolment. */
export async function startFabric(
  t: TestContext,
  directory: string,
  options: ServerOptions = {},
): Promise<Fabric> {
  const stateDir = join(directory, 'ca-node');
  await initFabric({ stateDir, fabric: 'lab', site: 'gray', node: 'gray1' });
  return { stateDir, ...(await startEnrolmentServer(t, stateDir, options)) };
}

/** A client that has finished the TLS handshake of enrolment, and does what the test wants. */
export async function connectStranger(t: TestContext, address: TcpAddress): Promise<TLSSocket> {
  const socket = connectTls({
    host: address.host,
    port: address.port,
    ALPNProtocols: [ALPN_ENROL],
    rejectUnauthorized: false,
  });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined);
  return socket;
}

export async function connectPlain(t: TestContext, address: TcpAddress): Promise<Socket> {
  const socket = connect(address.port, address.host);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** A message as it goes over the wire: u32 big endian length, JSON. */
export function encodeMessage(message: unknown): Buffer {
  const body = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** Everything that comes until the other side ends, as messages. */
export async function readMessages(socket: TLSSocket): Promise<Record<string, unknown>[]> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  const bytes = Buffer.concat(chunks);
  const messages: Record<string, unknown>[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    messages.push(JSON.parse(bytes.toString('utf8', at + 4, end)));
    at = end;
  }
  return messages;
}

/** An address of this machine where nothing listens. */
export async function refusingAddress(): Promise<TcpAddress> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return { kind: 'tcp', host: '127.0.0.1', port };
}

/** A listener that accepts and never says anything. */
export async function silentAddress(t: TestContext): Promise<TcpAddress> {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { kind: 'tcp', host: '127.0.0.1', port };
}
