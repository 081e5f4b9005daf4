import {
  expectInteger,
  expectObject,
  expectSignal,
  type KeysOf,
} from '../../arguments/arguments.ts';
import { invalidArgument } from '../../transport/link-error.ts';

/** How one version of a protocol writes its messages. */
export interface MessageCodec<T> {
  /** The bytes are not to be changed later. */
  encode(message: T): Uint8Array;
  /** Gets a view that is its to keep. Whatever it throws is thrown to the reader. */
  decode(bytes: Uint8Array): T;
}

/** How messages become bytes, and how large one may be. */
export interface MessageStreamOptions<T> {
  /** By version of the protocol. */
  readonly codecs: Readonly<Record<number, MessageCodec<T>>>;
  /** Most bytes of one message, both ways, 1 to 1 GiB; 1 MiB by default. */
  readonly maxBytes?: number;
  /** Resets the stream. */
  readonly signal?: AbortSignal;
}

/** Most bytes of one message where nothing else is said. */
export const MESSAGE_BYTES = 1024 * 1024;
/** What a length of four bytes can say, and an array of bytes have. */
const MAX_BYTES_MAX = 1024 * 1024 * 1024;

const KEYS: KeysOf<MessageStreamOptions<never>> = { codecs: true, maxBytes: true, signal: true };

/** @throws LinkError `argument-invalid` */
export function expectMessageOptions<T>(options: MessageStreamOptions<T>): void {
  expectObject('options', options, KEYS);
  const { codecs, maxBytes, signal } = options;
  expectInteger('maxBytes', maxBytes, 1, MAX_BYTES_MAX);
  expectSignal(signal);
  const wanted = 'an object of codecs by version, { 1: { encode, decode } }';
  if (typeof codecs !== 'object' || codecs === null || Array.isArray(codecs))
    throw invalidArgument('codecs', wanted, codecs);
  for (const [version, codec] of Object.entries(codecs)) {
    if (!/^[1-9][0-9]{0,4}$/.test(version)) throw invalidArgument('codecs', wanted, codecs);
    // It may have more: some generators of codecs add functions of their own.
    const isCodec = typeof codec?.encode === 'function' && typeof codec.decode === 'function';
    if (isCodec) continue;
    throw invalidArgument(`codecs.${version}`, '{ encode, decode }, both functions', codec);
  }
}
