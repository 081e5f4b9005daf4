import { inspect } from 'node:util';
import { RoutyError, visibleText } from '@routy/proto/base';

/** Everything the link fails with; stable, for programs to match on. */
export type LinkErrorCode =
  | 'address-invalid'
  | 'argument-invalid'
  | 'become-too-late'
  | 'credentials-invalid'
  | 'dial-aborted'
  | 'dial-exhausted'
  | 'dial-failed'
  | 'dial-proxy-invalid'
  | 'dial-proxy-refused'
  | 'dial-refused'
  | 'dial-resolve'
  | 'dial-timeout'
  | 'dial-unreachable'
  | 'insecure-not-allowed'
  | 'lane-closed'
  | 'lane-corrupt'
  | 'lane-failed'
  | 'lane-refused'
  | 'lane-reset'
  | 'lane-timeout'
  | 'lane-unreachable'
  | 'link-closed'
  | 'listen-denied'
  | 'listen-exhausted'
  | 'listen-failed'
  | 'listen-in-use'
  | 'listen-no-address'
  | 'locate-empty'
  | 'locate-failed'
  | 'locate-invalid'
  | 'locate-name-invalid'
  | 'locate-timeout'
  | 'locate-unknown'
  | 'message-too-large'
  | 'message-truncated'
  | 'nat-map-invalid'
  | 'peer-closed'
  | 'peer-not-verified'
  | 'session-lost'
  | 'stream-ended'
  | 'stream-in-use'
  | 'tls-alpn'
  | 'tls-closed'
  | 'tls-failed'
  | 'tls-not-tls'
  | 'tls-version'
  | 'transport-unknown';

/** A RoutyError of the link: the compiler knows its codes. */
export class LinkError extends RoutyError {
  /** Stable, for programs to match on. */
  declare readonly code: LinkErrorCode;

  /** Takes no other code. */
  constructor(
    code: LinkErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(code, message, options);
    this.name = 'LinkError';
  }
}

/** That what a program gave us cannot be meant. */
export function invalidArgument(name: string, wanted: string, given: unknown): LinkError {
  return new LinkError('argument-invalid', `${name} is ${shown(given)}`, {
    hint: `${name} has to be ${wanted}`,
  });
}

/** That a transport can neither dial nor listen there; `wanted`, as it is to be written. */
export function invalidAddress(transport: string, given: unknown, wanted: string): LinkError {
  const text = `${shown(given)} is no address of the transport ${transport}`;
  return new LinkError('address-invalid', text, { hint: `write it as ${wanted}` });
}

/** For messages: short, on one line, and whatever it is. */
export function shown(given: unknown): string {
  const text = inspect(given, { depth: 1, breakLength: Infinity, customInspect: false });
  return visibleText(text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text);
}

const SHOWN_MAX = 80;
