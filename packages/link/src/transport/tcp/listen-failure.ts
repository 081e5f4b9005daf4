import { type Address, errorText, formatAddress } from '@routy/proto/base';
import { systemCode } from '../failures.ts';
import { LinkError, type LinkErrorCode } from '../link-error.ts';

/** What a system error of listening is called, and what to do about it. */
const CAUSES: Readonly<Record<string, readonly [LinkErrorCode, (address: Address) => string]>> = {
  EADDRINUSE: ['listen-in-use', inUseHint],
  EACCES: ['listen-denied', deniedHint],
  EADDRNOTAVAIL: ['listen-no-address', noAddressHint],
  ENOTFOUND: ['listen-no-address', noAddressHint],
  EAI_AGAIN: ['listen-no-address', noAddressHint],
  ENODEV: ['listen-no-address', noAddressHint],
  ENOENT: ['listen-no-address', () => 'the directory of the socket does not exist: create it'],
  EMFILE: ['listen-exhausted', exhaustedHint],
  ENFILE: ['listen-exhausted', exhaustedHint],
  ENOBUFS: ['listen-exhausted', exhaustedHint],
  ENOMEM: ['listen-exhausted', exhaustedHint],
};

/** Why an address cannot be listened on, or can no more. */
export function listenFailure(address: Address, error: unknown): LinkError {
  const text = `cannot listen on ${formatAddress(address)}: ${errorText(error)}`;
  const [code, hint] = CAUSES[systemCode(error)] ?? ['listen-failed'];
  return new LinkError(code, text, {
    ...(hint === undefined ? {} : { hint: hint(address) }),
    cause: error,
  });
}

function inUseHint(address: Address): string {
  return address.kind === 'unix'
    ? 'another process listens there, or a file that is no socket: stop it, or choose another path'
    : `another process has that port; find it with: ss -ltnp 'sport = :${address.port}'`;
}

function deniedHint(address: Address): string {
  return address.kind === 'unix'
    ? 'this user can make no socket there: choose a directory that exists and is writable'
    : 'ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one';
}

function noAddressHint(): string {
  return 'no interface of this machine has that address; 0.0.0.0 or [::] stand for all';
}

function exhaustedHint(): string {
  return 'this machine is out of file descriptors or memory; raise LimitNOFILE';
}
