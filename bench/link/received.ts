/** The server's last word on a stream of messages: two unsigned integers of 32 and 64 bits. */
import type { Received } from './library.ts';

const BYTES = 12;

export class ReceivedCount {
  #messages = 0;
  #bytes = 0;

  add(message: Uint8Array): void {
    this.#messages++;
    this.#bytes += message.length;
  }

  encode(): Buffer {
    const answer = Buffer.alloc(BYTES);
    answer.writeUInt32BE(this.#messages, 0);
    answer.writeBigUInt64BE(BigInt(this.#bytes), 4);
    return answer;
  }
}

export function decodeReceived(answer: Uint8Array): Received {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  return { messages: view.getUint32(0), bytes: Number(view.getBigUint64(4)) };
}
