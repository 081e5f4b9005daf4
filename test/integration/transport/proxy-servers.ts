import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { listeningPort } from '../../support/lanes/lane-pair.ts';

export interface TestProxy {
  readonly port: number;
  /** `host:port` of every request, as the proxy was asked. */
  readonly asked: string[];
  close(): void;
}

export interface ProxyOptions {
  /** `user:password` it insists on. */
  readonly auth?: string;
  /** Where every request really leads, whatever name was asked for. */
  readonly target: { readonly host: string; readonly port: number };
}

/** An HTTP proxy that does CONNECT (RFC 9110 §9.3.6) and nothing else. */
export async function httpProxy(options: ProxyOptions): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createHttpServer();
  server.on('connect', (request, client: Socket, head) => {
    asked.push(request.url ?? '');
    const expected = `Basic ${Buffer.from(options.auth ?? '').toString('base64')}`;
    if (options.auth !== undefined && request.headers['proxy-authorization'] !== expected) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    join(client, options, sockets, head, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    });
  });
  return running(server, asked, sockets);
}

/** A SOCKS5 proxy (RFC 1928) for CONNECT, with user and password (RFC 1929) when `auth` is given. */
export async function socksProxy(options: ProxyOptions): Promise<TestProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => undefined);
    serveSocks(client, options, asked, sockets).catch(() => client.destroy());
  });
  return running(server, asked, sockets);
}

async function serveSocks(
  client: Socket,
  options: ProxyOptions,
  asked: string[],
  sockets: Set<Socket>,
): Promise<void> {
  const [, methodCount] = await take(client, 2);
  const methods = await take(client, methodCount!);
  const method = options.auth === undefined ? 0 : 2;
  if (!methods.includes(method)) {
    client.end(Uint8Array.of(5, 0xff));
    return;
  }
  client.write(Uint8Array.of(5, method));
  if (method === 2 && !(await checkPassword(client, options.auth!))) return;
  const [, command, , kind] = await take(client, 4);
  if (command !== 1) throw new Error(`command ${command}`);
  const host = await takeHost(client, kind!);
  const port = (await take(client, 2)).readUInt16BE();
  asked.push(`${host}:${port}`);
  join(client, options, sockets, Buffer.alloc(0), (ok) => {
    client.write(Uint8Array.of(5, ok ? 0 : 5, 0, 1, 0, 0, 0, 0, 0, 0));
  });
}

async function checkPassword(client: Socket, auth: string): Promise<boolean> {
  const [, userLength] = await take(client, 2);
  const user = await take(client, userLength!);
  const [passwordLength] = await take(client, 1);
  const password = await take(client, passwordLength!);
  const ok = `${user}:${password}` === auth;
  if (ok) client.write(Uint8Array.of(1, 0));
  else client.end(Uint8Array.of(1, 1));
  return ok;
}

async function takeHost(client: Socket, kind: number): Promise<string> {
  if (kind === 1) return [...(await take(client, 4))].join('.');
  if (kind === 3) return (await take(client, (await take(client, 1))[0]!)).toString();
  const groups = (await take(client, 16)).toString('hex').match(/.{4}/g)!;
  return `[${groups.join(':')}]`;
}

/** Exactly `count` bytes. */
async function take(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    if (count === 0) return Buffer.alloc(0);
    const bytes = socket.read(count) as Buffer | null;
    if (bytes !== null) return bytes;
    if (socket.readableEnded || socket.destroyed) throw new Error('ended');
    await new Promise<void>((resolve, reject) => {
      socket.once('readable', resolve);
      socket.once('close', () => reject(new Error('closed')));
    });
  }
}

function join(
  client: Socket,
  options: ProxyOptions,
  sockets: Set<Socket>,
  head: Buffer,
  answer: (ok: boolean) => void,
): void {
  const target = connect(options.target);
  sockets.add(client).add(target);
  client.on('error', () => target.destroy());
  target.on('error', () => {
    if (target.connecting) answer(false);
    client.destroy();
  });
  target.on('connect', () => {
    answer(true);
    if (head.length > 0) target.write(head);
    client.removeAllListeners('readable');
    client.pipe(target).pipe(client);
  });
}

async function running(server: Server, asked: string[], sockets: Set<Socket>): Promise<TestProxy> {
  server.listen(0, '127.0.0.1');
  const port = await listeningPort(server);
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, asked, close };
}
