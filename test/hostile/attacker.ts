import { createHmac, randomBytes } from 'node:crypto';
import { type Socket, connect as tcpConnect } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { TlsCredentials } from '../../packages/link/src/transport/lane.ts';
import { HEADER_BYTES } from '../../packages/proto/src/wire/layout.ts';
import { sharedSettings } from '../../packages/routy/src/fabric/settings.ts';
import * as frames from './frames.ts';

/** Where the node under attack is, and who the attacker may say that it is. */
export interface AttackerOptions {
  readonly port: number;
  /** Of a node of the fabric. */
  readonly papers: TlsCredentials;
  /** A local port that leads to the attacker's own service `trap`, for clients that it sends. */
  readonly trapPort: number;
}

/** Connections wait for the other side so long, in ms. */
const CONNECT_MS = 8_000;

/** Bytes that wait to be sent before a flood pauses. */
const QUEUED_BYTES_MAX = 1024 * 1024;

/** Makes connections of every kind to the node under attack. */
export class Attacker {
  readonly options: AttackerOptions;
  readonly instance = hex(16);

  constructor(options: AttackerOptions) {
    this.options = options;
  }

  /** A bare TCP connection; `from` is an address of the loopback network. */
  tcp(from = '127.0.0.1', port = this.options.port): Promise<Socket> {
    const socket = tcpConnect({ host: '127.0.0.1', port, localAddress: from, noDelay: true });
    socket.on('error', () => {});
    return arrived(socket, 'connect');
  }

  /** A TLS connection; without papers that of a stranger. */
  async tls(
    alpn: readonly string[],
    papers?: Pick<TlsCredentials, 'keyPem' | 'certChainPem'>,
    tcp?: Socket,
  ): Promise<TLSSocket> {
    const socket = tlsConnect({
      socket: tcp ?? (await this.tcp()),
      ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
      ...(papers && { key: papers.keyPem, cert: papers.certChainPem }),
      minVersion: 'TLSv1.3',
      rejectUnauthorized: false,
    });
    socket.on('error', () => {});
    socket.setNoDelay(true);
    return arrived(socket, 'secureConnect');
  }

  /** A lane before its HELLO. */
  async lane(): Promise<HostileLane> {
    const tcp = await this.tcp();
    return new HostileLane(await this.tls(['routy/1'], this.options.papers, tcp), tcp);
  }

  /** A lane whose HELLO was sent; with `answered` it has been answered, or this throws. */
  async greet(changes: HelloChanges = {}, answered = true): Promise<HostileLane> {
    const lane = await this.lane();
    lane.sessionId = changes.session?.id ?? hex(16);
    lane.send(frames.hello(this.hello({ session: { id: lane.sessionId, epoch: 1 }, ...changes })));
    if (answered) await lane.answer();
    return lane;
  }

  /** A further lane of the lane's session, with the proof that belongs to it. */
  async join(first: HostileLane, epoch: number): Promise<HostileLane> {
    const lane = await this.lane();
    const { sessionId } = first;
    const proof = createHmac('sha256', first.secret)
      .update(`routy-lane dialler|${sessionId}|${epoch}|`)
      .update(lane.exporter)
      .digest('hex');
    lane.sessionId = sessionId;
    lane.send(frames.hello(this.hello({ session: { id: sessionId, epoch, proof } })));
    await lane.answer();
    return lane;
  }

  /** A HELLO that is as it should be, but for the changes. */
  hello(changes: HelloChanges = {}): Record<string, unknown> {
    return {
      versions: [1],
      capabilities: [],
      ...this.options.papers.identity,
      software: 'hostile/1',
      instance: this.instance,
      session: { id: hex(16), epoch: 1 },
      settings: sharedSettings({
        heartbeatIntervalMs: 5_000,
        heartbeatMisses: 3,
        resumeTimeMs: 60_000,
      }),
      initialWindow: 64 * 1024,
      clockUs: Date.now() * 1000,
      ...changes,
    };
  }
}

export interface HelloChanges {
  readonly session?: {
    readonly id: string;
    readonly epoch: number;
    readonly proof?: string;
    readonly replaces?: string;
  };
  readonly [member: string]: unknown;
}

/** A lane in the attacker's hand: says what it is told to, and counts what comes. */
export class HostileLane {
  readonly socket: TLSSocket;
  readonly exporter: Buffer;
  sessionId = '';
  /** Of the session, from the answer on its first lane. */
  secret = '';
  /** PINGs are answered while this is true; a lane that does not dies after a while. */
  answersPings = true;
  readonly counts = new Map<number, number>();
  /** Told every frame that comes. */
  onFrame: ((frame: frames.Frame) => void) | undefined;
  readonly #tcp: Socket;
  #pending: Buffer = Buffer.alloc(0);

  /** `tcp` is what `socket` runs over. */
  constructor(socket: TLSSocket, tcp: Socket) {
    this.socket = socket;
    this.#tcp = tcp;
    this.exporter = socket.exportKeyingMaterial(32, 'EXPORTER-routy-lane', Buffer.alloc(0));
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // The other side's end is the end; what it said last has been read by then.
    socket.on('end', () => socket.destroy());
  }

  get gone(): boolean {
    return this.socket.destroyed;
  }

  received(type: number): number {
    return this.counts.get(type) ?? 0;
  }

  send(...parts: readonly Uint8Array[]): void {
    if (!this.gone) this.socket.write(Buffer.concat(parts));
  }

  /** The same, and waits while much of it is not taken; false once the lane is gone. */
  async flood(...parts: readonly Uint8Array[]): Promise<boolean> {
    this.send(...parts);
    const untilMs = performance.now() + CONNECT_MS;
    do await new Promise((resolve) => setTimeout(resolve, 1));
    while (
      !this.gone &&
      this.socket.writableLength > QUEUED_BYTES_MAX &&
      performance.now() < untilMs
    );
    return !this.gone;
  }

  /** The HELLO of the other side. */
  async answer(): Promise<void> {
    const untilMs = performance.now() + CONNECT_MS;
    while (this.received(frames.TYPE.HELLO) === 0) {
      if (this.gone) throw new Error('the lane was refused');
      if (performance.now() > untilMs) throw new Error('no HELLO came');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Ends it with a reset. */
  abort(): void {
    this.#tcp.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (this.#pending.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + this.#pending.readUInt32BE(at + 4);
      if (this.#pending.length < end) break;
      this.#handle(frames.read(this.#pending.subarray(at, end)));
      at = end;
    }
    this.#pending = this.#pending.subarray(at);
  }

  #handle(frame: frames.Frame): void {
    this.counts.set(frame.type, this.received(frame.type) + 1);
    if (frame.type === frames.TYPE.HELLO) {
      const { session } = JSON.parse(frame.payload.toString()) as { session: { secret?: string } };
      this.secret = session.secret ?? '';
    }
    if (frame.type === frames.TYPE.PING && this.answersPings) this.send(frames.pong(frame));
    this.onFrame?.(frame);
  }
}

export function hex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

function arrived<T extends Socket>(socket: T, event: 'connect' | 'secureConnect'): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no ${event}`)), CONNECT_MS);
    socket.once(event, () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      reject(new Error(`closed before ${event}`));
    });
  });
}
