import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TlsAcceptor } from '../../../packages/linux/src/tls/handshake/tls-acceptor.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { type CuttingOptions, cuttingRelay } from '../../support/faults/cutting-relay.ts';
import type { RawSocket } from '../../support/linux/raw-socket.ts';
import {
  acceptRecords,
  dialRecords,
  type RecordConnection,
  type RecordConnectionOptions,
} from '../../support/linux/record-connection.ts';

/** A command of `openssl` that runs; what it prints of the connection goes to `output`. */
export interface OpenSslProcess {
  readonly child: ChildProcess & { readonly stdin: NodeJS.WritableStream };
  output: string;
}

/** What passes between the two ends is cut by a relay. */
export interface PeerOptions extends RecordConnectionOptions {
  readonly relay?: CuttingOptions;
}

/** `openssl s_client` and `s_server` with the papers of nodes, at the other end of our record layer. */
export class OpenSslPeers {
  readonly #directory = mkdtempSync(join(tmpdir(), 'routy-openssl-'));
  readonly #closers: (() => void)[] = [];
  readonly #red: TlsCredentials;
  readonly #gray: TlsCredentials;

  private constructor(red: TlsCredentials, gray: TlsCredentials) {
    this.#red = red;
    this.#gray = gray;
  }

  static async start(): Promise<OpenSslPeers> {
    const ca = await testCa();
    return new OpenSslPeers(
      await testCredentials(ca, { site: 'red' }),
      await testCredentials(ca, { site: 'gray' }),
    );
  }

  close(): void {
    for (const close of this.#closers.reverse()) close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Our server for one `openssl s_client`. */
  async withClient(options: readonly string[], { relay, ...own }: PeerOptions = {}) {
    const acceptor = new TlsAcceptor<RawSocket>(() => this.#gray);
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#closers.push(() => server.close());
    const port = await this.#relayed((server.address() as { port: number }).port, relay);
    const to = ['-connect', `127.0.0.1:${port}`, ...options];
    const client = this.#openssl('s_client', this.#red, to);
    const [socket] = (await once(server, 'connection')) as [Socket];
    this.#closers.push(() => socket.destroy());
    const connection = await acceptRecords(socket, acceptor, own);
    return { client, connection, socket };
  }

  /** One `openssl s_server` for our client. */
  async withServer(options: readonly string[], { relay, ...own }: PeerOptions = {}) {
    const at = ['-accept', '127.0.0.1:0', '-Verify', '1', ...options];
    const server = this.#openssl('s_server', this.#gray, at);
    await says(server, 'ACCEPT ');
    const accepting = Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(server.output)![1]);
    const connection = await dialRecords(await this.#relayed(accepting, relay), this.#red, own);
    this.#closers.push(() => connection.destroy());
    return { server, connection };
  }

  async #relayed(port: number, options: CuttingOptions | undefined): Promise<number> {
    if (options === undefined) return port;
    const relay = await cuttingRelay(port, options);
    this.#closers.push(() => relay.close());
    return relay.port;
  }

  #openssl(command: string, credentials: TlsCredentials, options: readonly string[]) {
    const { keyPem, certChainPem, caPem } = credentials;
    const [key, cert, ca] = [keyPem, certChainPem, caPem].map((pem, index) => {
      const path = join(this.#directory, `${credentials.identity.site}.${index}`);
      writeFileSync(path, pem, { mode: 0o600 });
      return path;
    }) as [string, string, string];
    const papers = ['-key', key, '-cert', cert, '-CAfile', ca];
    const child = spawn('openssl', [command, ...papers, '-alpn', 'routy/1', '-tls1_3', ...options]);
    const process: OpenSslProcess = { child, output: '' };
    const take = (chunk: Buffer) => {
      process.output += chunk.toString('latin1');
      child.emit('said');
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.stdin.on('error', () => {});
    this.#closers.push(() => child.kill('SIGKILL'));
    return process;
  }
}

/** Waits until it has printed the text. */
export async function says(process: OpenSslProcess, text: string): Promise<void> {
  while (!process.output.includes(text)) {
    await once(process.child, 'said', { signal: AbortSignal.timeout(20_000) });
  }
}

/** Waits until the content has come. */
export function carries(connection: RecordConnection, content: Buffer): Promise<void> {
  return connection.until('data', () => connection.received.includes(content));
}
