import type { MessageCodec } from '@routy/link';

/** Messages as JSON. */
export function json<T>(): MessageCodec<T> {
  return {
    encode: (message) => Buffer.from(JSON.stringify(message)),
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as T,
  };
}
