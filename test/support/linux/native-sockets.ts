import { NativeListener } from '../../../packages/linux/src/sockets/native-listener.ts';
import type {
  NativeSocket,
  SocketHandlers,
} from '../../../packages/linux/src/sockets/native-socket.ts';
import type { SocketPlace } from '../../../packages/linux/src/system/socket-address.ts';
import { testPlane } from './native-plane.ts';

/** Notes what happens to a socket, and reads it from the beginning. */
export class SocketLog implements SocketHandlers {
  readonly socket: NativeSocket;
  /** Everything but bytes, in order. */
  readonly told: string[] = [];
  bytes = 0;
  text = '';
  /** Instead of noting the bytes. */
  use: ((bytes: Uint8Array) => void) | undefined;

  constructor(socket: NativeSocket) {
    this.socket = socket;
    socket.bind(this);
    socket.resume();
  }

  onData(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (this.use !== undefined) this.use(bytes);
    else this.text += Buffer.from(bytes).toString('latin1');
  }

  onEnd(): void {
    this.told.push('end');
  }

  onWritten(): void {}

  onFinished(): void {
    this.told.push('finished');
  }

  onWritingDied(error: NodeJS.ErrnoException): void {
    this.told.push(`writing ${error.code}`);
  }

  onGone(): void {
    this.told.push('gone');
  }

  onError(error: NodeJS.ErrnoException): void {
    this.told.push(`error ${error.code}`);
    this.socket.close();
  }
}

/** What a place is that is no unix socket's. */
export type TcpPlace = Extract<SocketPlace, { port: number }>;

export const LOOPBACK_PLACE: TcpPlace = { host: '127.0.0.1', port: 0 };

/** A listener whose connections come one by one. */
export function nativeListener(at: SocketPlace = LOOPBACK_PLACE, delayMs = 10) {
  const waiting: ((socket: NativeSocket) => void)[] = [];
  const early: NativeSocket[] = [];
  const errors: string[] = [];
  const state = { reopened: 0 };
  const listener = new NativeListener(testPlane(), {
    at,
    delayMs: () => delayMs,
    onConnection: (socket) => {
      const next = waiting.shift();
      if (next === undefined) early.push(socket);
      else next(socket);
    },
    onError: ({ code }) => errors.push(code),
    onReopened: () => state.reopened++,
  });
  const next = () =>
    new Promise<NativeSocket>((resolve) => {
      const socket = early.shift();
      if (socket === undefined) waiting.push(resolve);
      else resolve(socket);
    });
  return { listener, next, errors, state, place: listener.place! };
}
