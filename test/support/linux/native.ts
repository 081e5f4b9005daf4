import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

const MSG_OOB = 1;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const BPF_RET = 6;

interface Koffi {
  struct(name: string, fields: object): unknown;
  load(path: null): { func(prototype: string): (...values: unknown[]) => number };
}

let calls: ReturnType<typeof declare> | undefined;

/** Calls that tests need and Node does not have; for where koffi is installed. */
export function nativeCalls() {
  // A name of a type may be declared once in a process.
  calls ??= declare();
  return calls;
}

function declare() {
  const koffi = createRequire(import.meta.url)('koffi') as Koffi;
  koffi.struct('sock_filter', { code: 'uint16_t', jt: 'uint8_t', jf: 'uint8_t', k: 'uint32_t' });
  koffi.struct('sock_fprog', { len: 'uint16_t', filter: 'sock_filter *' });
  const library = koffi.load(null);
  const send = library.func('long send(int, const void *, size_t, int)');
  const set = library.func('int setsockopt(int, int, int, const sock_fprog *, uint32_t)');
  return {
    /** Sends the last byte as TCP's urgent one. */
    sendUrgent(socket: Socket, text: string): boolean {
      const bytes = Buffer.from(text);
      return send(fdOf(socket), bytes, bytes.length, MSG_OOB) === bytes.length;
    },
    /** From now on the system throws away what arrives, as if the machine were gone. */
    vanish(socket: Socket): boolean {
      const filter = [{ code: BPF_RET, jt: 0, jf: 0, k: 0 }];
      return set(fdOf(socket), SOL_SOCKET, SO_ATTACH_FILTER, { len: 1, filter }, 16) === 0;
    },
  };
}

function fdOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}
