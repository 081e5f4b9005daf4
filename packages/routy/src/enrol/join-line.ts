import {
  formatHostPort,
  isName,
  parseTcpAddress,
  RoutyError,
  type TcpAddress,
} from '@routy/proto/base';
import { isPin } from '../pki/pin.ts';

const PREFIX = 'routy-join-1:';
const ID_PATTERN = /^[A-Za-z0-9_-]{22}$/;
const SECRET_PATTERN = /^[A-Za-z0-9_-]{43}$/;
const ADDRESSES_MAX = 16;

/** What an operator pastes on the newcomer: `routy-join-1:` and base64url of compact JSON. */
export interface JoinLine {
  /** Where the CA's node may be dialled, in the order to try. */
  readonly addresses: readonly TcpAddress[];
  /** The pin of the CA's key. */
  readonly pin: string;
  /** 16 random bytes, base64url: which invite this is. */
  readonly id: string;
  /** 32 random bytes, base64url. Never sent: only an HMAC made with it. */
  readonly secret: string;
  readonly fabric: string;
  readonly site: string;
  /** The only node name the invite is good for, if it names one. */
  readonly node: string | undefined;
  /** Milliseconds since 1970, by the clock of the CA's node, which also judges it. */
  readonly expiresMs: number;
}

export function isInviteId(text: string): boolean {
  return ID_PATTERN.test(text);
}

export function formatJoinLine(line: JoinLine): string {
  const json = JSON.stringify({
    addresses: line.addresses.map(({ host, port }) => formatHostPort(host, port)),
    pin: line.pin,
    id: line.id,
    secret: line.secret,
    site: line.site,
    fabric: line.fabric,
    expires: line.expiresMs,
    ...(line.node === undefined ? {} : { node: line.node }),
  });
  return PREFIX + Buffer.from(json).toString('base64url');
}

/**
 * Reads a pasted line: quotes, line breaks and the words `routy join` in front do no harm.
 *
 * @param nowMs when given, an expired line is refused; the CA's node judges by its own clock anyway
 * @throws RoutyError `join-line-wrong`, `join-line-truncated`, `invite-expired`
 */
export function parseJoinLine(text: string, nowMs?: number): JoinLine {
  const compact = text.replace(/^\s*routy\s+join\s/, '').replace(/[\s'"`]/g, '');
  if (!compact.startsWith(PREFIX)) throw wrongPrefix(compact);
  const encoded = compact.slice(PREFIX.length);
  if (!/^[A-Za-z0-9_-]*$/.test(encoded)) {
    throw new RoutyError(
      'join-line-wrong',
      'the join line has characters that do not belong in it',
      {
        hint: 'copy the line again, from routy-join-1: to its end, and nothing else',
      },
    );
  }
  const line = decode(encoded);
  if (line === undefined) throw truncated(encoded.length);
  if (nowMs !== undefined && nowMs > line.expiresMs) throw inviteExpired(line.expiresMs);
  return line;
}

export function inviteExpired(expiresMs: number): RoutyError {
  return new RoutyError(
    'invite-expired',
    `the invite expired at ${new Date(expiresMs).toISOString()}`,
    {
      hint: "make a new one on the CA's node: routy invite SITE",
    },
  );
}

function wrongPrefix(compact: string): RoutyError {
  const version = /^routy-join-(\d+):/.exec(compact)?.[1];
  if (version !== undefined) {
    return new RoutyError(
      'join-line-wrong',
      `the join line has version ${version}; this routy knows version 1`,
      {
        hint: 'install the same version of routy on both nodes',
      },
    );
  }
  return new RoutyError(
    'join-line-wrong',
    `this is not a join line: it does not begin with ${PREFIX}`,
    {
      hint: "paste the whole line that routy invite SITE printed on the CA's node",
    },
  );
}

function truncated(length: number): RoutyError {
  return new RoutyError(
    'join-line-truncated',
    `the join line is damaged or cut off (${length} characters)`,
    {
      hint: 'copy the line again in full; put it in single quotes',
    },
  );
}

function decode(encoded: string): JoinLine | undefined {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object') return undefined;
  const { pin, id, secret, fabric, site, node, expires } = value;
  const addresses = decodeAddresses(value.addresses);
  if (addresses === undefined) return undefined;
  if (typeof pin !== 'string' || !isPin(pin)) return undefined;
  if (typeof id !== 'string' || !isInviteId(id)) return undefined;
  if (typeof secret !== 'string' || !SECRET_PATTERN.test(secret)) return undefined;
  if (typeof fabric !== 'string' || !isName(fabric)) return undefined;
  if (typeof site !== 'string' || !isName(site)) return undefined;
  if (node !== undefined && (typeof node !== 'string' || !isName(node))) return undefined;
  if (!isTime(expires)) return undefined;
  return { addresses, pin, id, secret, fabric, site, node, expiresMs: expires };
}

/** True for what `new Date` can show: 0 to the year 9999. */
function isTime(value: unknown): value is number {
  return (
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 253_402_300_800_000
  );
}

function decodeAddresses(value: unknown): TcpAddress[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > ADDRESSES_MAX) return undefined;
  const addresses: TcpAddress[] = [];
  for (const text of value) {
    const address = typeof text === 'string' ? parseTcpAddress(text) : undefined;
    if (address === undefined) return undefined;
    addresses.push(address);
  }
  return addresses;
}
