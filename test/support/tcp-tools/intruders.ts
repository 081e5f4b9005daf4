import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

export interface Intrusion {
  /** The TLS handshake was completed. */
  readonly secured: boolean;
  /** What the other side sent, in hex, up to 64 KiB. */
  readonly receivedHex: string;
  /** True when the other side ended the connection, false when `waitMs` passed first. */
  readonly closed: boolean;
  readonly error: string | null;
  /** From the start to the end. */
  readonly ms: number;
}

const RECEIVED_BYTES_MAX = 64 * 1024;

interface TlsParams {
  readonly host: string;
  readonly port: number;
  readonly alpn: string;
  readonly keyFile: string;
  readonly certFile: string;
  /** Sent once the TLS handshake is done. */
  readonly sendHex: string;
  /** Sent after the first answer. */
  readonly thenHex?: string;
  readonly waitMs: number;
}

/** Does a TLS handshake with a node's own key and certificate, sends bytes, waits for the end. */
export function sendOverTls(params: TlsParams): Promise<Intrusion> {
  const socket = tls.connect({
    host: params.host,
    port: params.port,
    ALPNProtocols: [params.alpn],
    minVersion: 'TLSv1.3',
    key: readFileSync(params.keyFile),
    cert: readFileSync(params.certFile),
    // The intruder does not care whom it talks to.
    rejectUnauthorized: false,
  });
  return observe(socket, params.waitMs, (secured) => {
    socket.once('secureConnect', () => {
      secured();
      socket.write(Buffer.from(params.sendHex, 'hex'));
    });
    socket.once('data', () => socket.write(Buffer.from(params.thenHex ?? '', 'hex')));
  });
}

/** Sends the bytes of `sendHex` one at a time, `intervalMs` apart, until the other side ends it. */
export function dripBytes(params: {
  host: string;
  port: number;
  sendHex: string;
  intervalMs: number;
  waitMs: number;
}): Promise<Intrusion> {
  const bytes = Buffer.from(params.sendHex, 'hex');
  const socket = net.connect({ host: params.host, port: params.port, noDelay: true });
  return observe(socket, params.waitMs, () => {
    let sent = 0;
    const timer = setInterval(() => {
      if (sent < bytes.length) socket.write(bytes.subarray(sent, sent + 1));
      sent += 1;
    }, params.intervalMs);
    socket.once('close', () => clearInterval(timer));
  });
}

function observe(
  socket: net.Socket,
  waitMs: number,
  begin: (secured: () => void) => void,
): Promise<Intrusion> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const received: Buffer[] = [];
    let receivedBytes = 0;
    let secured = false;
    let closed = true;
    let error: string | null = null;
    const timer = setTimeout(() => {
      closed = false;
      socket.destroy();
    }, waitMs);
    socket.on('data', (chunk: Buffer) => {
      if (receivedBytes < RECEIVED_BYTES_MAX) received.push(chunk);
      receivedBytes += chunk.length;
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      error = cause.code ?? cause.message;
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(timer);
      const receivedHex = Buffer.concat(received).toString('hex');
      resolve({ secured, receivedHex, closed, error, ms: performance.now() - startMs });
    });
    begin(() => {
      secured = true;
    });
  });
}
