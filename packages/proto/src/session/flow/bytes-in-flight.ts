import { invariant } from '../../base/errors.ts';

interface Piece<Lane> {
  readonly lane: Lane;
  /** Offset behind its last byte. */
  readonly end: number;
  readonly length: number;
}

/**
 * Bytes of a stream on several lanes that the peer has not acknowledged yet, by lane. The peer
 * acknowledges in the order of the stream, so what has arrived on a fast lane counts until the slow
 * ones have caught up.
 */
export class BytesInFlight<Lane> {
  readonly #pieces: Piece<Lane>[] = [];
  readonly #bytes = new Map<Lane, number>();

  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Bytes on the lane. */
  on(lane: Lane): number {
    return this.#bytes.get(lane) ?? 0;
  }

  /** `length` bytes up to `end` went on the lane, behind all that went before. */
  sent(lane: Lane, end: number, length: number): void {
    this.#pieces.push({ lane, end, length });
    this.#bytes.set(lane, this.on(lane) + length);
  }

  /** The peer has all bytes up to `offset`. */
  acknowledged(offset: number): void {
    let count = 0;
    for (const { lane, end, length } of this.#pieces) {
      if (end > offset) break;
      const left = this.on(lane) - length;
      invariant(left >= 0, 'a lane carries less than nothing', left);
      this.#bytes.set(lane, left);
      count++;
    }
    this.#pieces.splice(0, count);
  }
}
