import type { Server, Socket } from 'node:net';
import { libc } from './libc.ts';

// The same on every Linux that koffi is built for.
const SOL_SOCKET = 1;
const SO_OOBINLINE = 10;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;

/** Of `struct tcp_info`: up to the field that is needed last. */
const INFO_BYTES = 60;
const RETRANSMITS = 2;
const PROBES = 3;
const LAST_ACK_RECEIVED = 56;

/** What was sent again in vain before nobody can be there; one may just be on its way. */
const VAIN_MIN = 2;

const info = new DataView(new ArrayBuffer(INFO_BYTES));
const infoBytes = new Uint8Array(info.buffer);

/**
 * Carries TCP's urgent byte as an ordinary one, in its place, instead of dropping it. A listening
 * socket hands this on to those it accepts. False where it cannot be had: see {@link libc}.
 */
export function carryUrgentInline(socket: Socket | Server): boolean {
  const fd = descriptorOf(socket);
  if (fd === undefined) return false;
  return libc()?.setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1) ?? false;
}

/**
 * The other end was last heard of at least `ms` ago although it was sent bytes, or asked to take
 * some, again and again. One that reads nothing but answers is not silent. False where the system
 * cannot be asked.
 */
export function isSilent(socket: Socket, ms: number): boolean {
  const fd = descriptorOf(socket);
  const read = fd === undefined ? -1 : libc()?.getOption(fd, IPPROTO_TCP, TCP_INFO, infoBytes);
  if (read !== INFO_BYTES) return false;
  if (infoBytes[RETRANSMITS]! < VAIN_MIN && infoBytes[PROBES]! < VAIN_MIN) return false;
  return info.getUint32(LAST_ACK_RECEIVED, endianness) >= ms;
}

const endianness = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Node has it, and does not document it. */
function descriptorOf(socket: Socket | Server): number | undefined {
  const fd = (socket as { _handle?: { fd?: unknown } | null })._handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
