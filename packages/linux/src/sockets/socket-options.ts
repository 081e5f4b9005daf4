import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SO_OOBINLINE,
  SOL_SOCKET,
  TCP_INFO,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
  TCP_USER_TIMEOUT,
} from '../system/constants.ts';
import type { System } from '../system/system.ts';

/** One question a second, ten of them: Node's choice. */
const QUESTION_S = 1;
const QUESTIONS = 10;

// `struct tcp_info`.
const RETRANSMITS = 2;
const PROBES = 3;
const LAST_ACK_RECEIVED = 56;
const INFO_BYTES = 60;

/** What was sent again in vain before nobody can be there; one may just be on its way. */
const VAIN_MIN = 2;

/**
 * No delay for small writes, and urgent data as ordinary bytes in their place. A listener hands both on
 * to those it accepts. Of a unix socket nothing happens.
 */
export function setStreamOptions(system: System, fd: number): void {
  system.setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  system.setOption(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

/** The system asks the other end after so much silence, in ms and at least a second, if it is there. */
export function setKeepAlive(system: System, fd: number, silenceMs: number): void {
  const seconds = Math.max(1, Math.ceil(silenceMs / 1000));
  system.setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  system.setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  system.setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, QUESTION_S);
  system.setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, QUESTIONS);
}

/**
 * What is sent may be unacknowledged for so long, in ms, or wait for a window of zero to open: then the
 * connection fails with ETIMEDOUT (RFC 5482).
 */
export function setUserTimeout(system: System, fd: number, ms: number): void {
  system.setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
}

/**
 * The other end was last heard of at least `ms` ago although it was sent bytes, or asked to take some,
 * again and again. One that reads nothing but answers is not silent.
 */
export function isSilent(system: System, fd: number, ms: number): boolean {
  const info = system.readOption(fd, IPPROTO_TCP, TCP_INFO, INFO_BYTES);
  if (typeof info === 'number' || info.byteLength < INFO_BYTES) return false;
  if (info.getUint8(RETRANSMITS) < VAIN_MIN && info.getUint8(PROBES) < VAIN_MIN) return false;
  return info.getUint32(LAST_ACK_RECEIVED, true) >= ms;
}
