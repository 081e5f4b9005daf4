import type { MessageCodec } from '@routy/link';

/** Keys that can be asked for: nothing that leads out of the directory. */
export const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** What is sent first: what the bytes behind it are of. */
export interface Head {
  readonly size: number;
  /** Another one when the value has changed: then the rest of it does not fit what was sent. */
  readonly version: string;
}

/** From who asks: where to begin. From who has it: what it is, or that it is not there; then bytes. */
export type Message = { readonly from: number } | Head | { readonly missing: true } | Uint8Array;

const IS_BYTES = 0;
const IS_JSON = 1;

/** One byte says which of the two the rest is. */
const CODEC: MessageCodec<Message> = {
  encode: (message) =>
    message instanceof Uint8Array
      ? Buffer.concat([Buffer.of(IS_BYTES), message])
      : Buffer.concat([Buffer.of(IS_JSON), Buffer.from(JSON.stringify(message))]),
  decode: (bytes) => {
    const rest = bytes.subarray(1);
    return bytes[0] === IS_BYTES ? rest : (JSON.parse(Buffer.from(rest).toString()) as Message);
  },
};

export const CODECS = { 1: CODEC };
