import type { NativePlane } from '../sockets/native-plane.ts';
import type { NativeSocket } from '../sockets/native-socket.ts';
import type { RecordLayer } from '../tls/record-layer.ts';

/**
 * Data that is sealed at a time: nine records. A session gives 128 KiB and a little more, the headers of its
 * frames, and a little more by itself would be a call, a segment and a read of its own.
 */
const BATCH_BYTES = 144 * 1024;

/** For a batch of it: headers, tags, and what TLS has to say beside. */
export const SEALED_BYTES_MAX = BATCH_BYTES + 4096;

/** What a lane gives to the system in one round of the loop: others have their turn. */
const ROUND_BYTES_MAX = 512 * 1024;

export interface OutboxOptions {
  readonly plane: NativePlane;
  readonly socket: NativeSocket;
  readonly layer: RecordLayer;
  /** {@link SEALED_BYTES_MAX} bytes, which many may share: what is in it has gone when a call returns. */
  readonly sealed: Uint8Array;
}

/** Seals what a lane says, and gives it to its socket: not all of it in one round. */
export class RecordOutbox {
  readonly #options: OutboxOptions;
  #round = -1;
  #roundBytes = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** The bytes of `pieces`. False: some of them wait for {@link flush} in a later round. */
  write(pieces: readonly Uint8Array[]): boolean {
    let batch: Uint8Array[] = [];
    let room = BATCH_BYTES;
    let isWritten = true;
    for (let piece of pieces) {
      while (piece.length > room) {
        batch.push(piece.subarray(0, room));
        piece = piece.subarray(room);
        isWritten = this.#seal(batch);
        batch = [];
        room = BATCH_BYTES;
      }
      if (piece.length > 0) batch.push(piece);
      room -= piece.length;
    }
    return batch.length === 0 ? isWritten : this.#seal(batch);
  }

  /** What TLS has to say for itself. */
  writeControl(): boolean {
    return this.#seal([]);
  }

  /** In a later round: what has waited. */
  flush(): void {
    this.#options.socket.flush();
  }

  #seal(batch: readonly Uint8Array[]): boolean {
    const { layer, socket, sealed } = this.#options;
    const bytes = sealed.subarray(0, layer.seal(batch, sealed));
    if (this.#hasTurn(bytes.length)) socket.writeThrough(bytes);
    else socket.write(Buffer.from(bytes));
    return this.#roundBytes <= ROUND_BYTES_MAX;
  }

  #hasTurn(bytes: number): boolean {
    const { rounds } = this.#options.plane.loop;
    if (rounds !== this.#round) {
      this.#round = rounds;
      this.#roundBytes = 0;
    }
    this.#roundBytes += bytes;
    return this.#roundBytes <= ROUND_BYTES_MAX;
  }
}
