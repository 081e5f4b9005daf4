import type { RoutyError } from '@routy/proto/base';
import type { PingSample } from './driver-types.ts';

interface Pinging {
  resolve(sample: PingSample): void;
  reject(error: RoutyError): void;
}

/**
 * Pings somebody waits for. The answer to one may be lost with its lane, so after such a loss those
 * that wait are sent again; while no lane carries the session they wait for one.
 */
export class Pings {
  /** Sends a ping and says its number, or 0 when no lane carries it. */
  readonly #send: () => number;
  readonly #bySequence = new Map<number, Pinging>();
  #unsent: Pinging[] = [];

  constructor(send: () => number) {
    this.#send = send;
  }

  ping(): Promise<PingSample> {
    return new Promise((resolve, reject) => this.#start({ resolve, reject }));
  }

  answered(sequence: number, sample: PingSample): void {
    this.#bySequence.get(sequence)?.resolve(sample);
    this.#bySequence.delete(sequence);
  }

  /** A lane was lost, or came. */
  repeat(): void {
    const waiting = [...this.#bySequence.values(), ...this.#unsent];
    this.#bySequence.clear();
    this.#unsent = [];
    for (const pinging of waiting) this.#start(pinging);
  }

  fail(error: RoutyError): void {
    const waiting = [...this.#bySequence.values(), ...this.#unsent];
    for (const pinging of waiting) pinging.reject(error);
    this.#bySequence.clear();
    this.#unsent = [];
  }

  #start(pinging: Pinging): void {
    const sequence = this.#send();
    if (sequence === 0) this.#unsent.push(pinging);
    else this.#bySequence.set(sequence, pinging);
  }
}
