/** Requests and answers on one stream of messages, for libraries that have no calls: a number before each. */

const NUMBER_BYTES = 4;

/** The asking end. */
export class Calls {
  readonly #send: (message: Uint8Array) => void;
  readonly #waiting = new Map<number, (answer: Uint8Array) => void>();
  #last = 0;

  constructor(send: (message: Uint8Array) => void) {
    this.#send = send;
  }

  request(body: Uint8Array): Promise<Uint8Array> {
    this.#last = (this.#last + 1) >>> 0;
    const number = this.#last;
    const message = Buffer.allocUnsafe(NUMBER_BYTES + body.length);
    message.writeUInt32BE(number, 0);
    message.set(body, NUMBER_BYTES);
    return new Promise((resolve) => {
      this.#waiting.set(number, resolve);
      this.#send(message);
    });
  }

  /** A message of the other end. */
  take(message: Uint8Array): void {
    const number = new DataView(message.buffer, message.byteOffset).getUint32(0);
    const resolve = this.#waiting.get(number);
    this.#waiting.delete(number);
    resolve?.(message.subarray(NUMBER_BYTES));
  }
}

/** The answering end: the number of the request goes back, before the same bytes in a buffer of their own. */
export function answerOf(request: Uint8Array): Uint8Array {
  const answer = Buffer.allocUnsafe(request.length);
  answer.set(request);
  return answer;
}
