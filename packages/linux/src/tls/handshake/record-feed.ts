import { Duplex } from 'node:stream';
import { CIPHERTEXT_MAX, HEADER_BYTES, lengthAt } from '../record-format.ts';
import type { RawConnection } from './raw-connection.ts';

// Content types of RFC 8446 §5.1, from change_cipher_spec to application_data.
const FIRST_TYPE = 20;
const LAST_TYPE = 23;
/** Of the legacy version in every record (RFC 8446 §5.1). */
const VERSION_MAJOR = 3;

const NOTHING = new Uint8Array(0);

/**
 * The connection as node:tls sees it. During a handshake it gets one record at a time, so that it has never
 * read anything beyond the last record of that; and what it sends is counted in records.
 */
export class RecordFeed extends Duplex {
  readonly #raw: RawConnection;
  readonly #sent = new RecordCounter();
  #waiting: Uint8Array = NOTHING;
  #mode: 'records' | 'stream' | 'detached' = 'records';

  constructor(raw: RawConnection) {
    // As that of a listener: the socket of node:tls over it does the same.
    super({ allowHalfOpen: false });
    this.#raw = raw;
  }

  /** Records that node:tls has sent. */
  get sentRecords(): number {
    return this.#sent.records;
  }

  /** Bytes that node:tls has not seen. */
  get waiting(): Uint8Array {
    return this.#waiting;
  }

  /** node:tls has its listeners in place: what is pushed is worked on before `push` returns. */
  get isReady(): boolean {
    return this.readableFlowing === true && this.readableLength === 0;
  }

  /** Bytes of the peer, cut anyhow; copied. */
  receive(bytes: Uint8Array): void {
    if (this.#mode === 'records') this.#waiting = Buffer.concat([this.#waiting, bytes]);
    else if (this.#mode === 'stream') this.#pushOn(Uint8Array.from(bytes));
  }

  /**
   * Hands one record to node:tls, which has worked on it when this returns; false when none is complete.
   * What is no TLS is handed on as it is: OpenSSL says best what it looks like.
   */
  feedRecord(): boolean {
    const bytes = this.#waiting;
    const end = recordEnd(bytes);
    if (end > bytes.length || bytes.length === 0) return false;
    this.#waiting = bytes.subarray(end);
    this.push(bytes.subarray(0, end));
    return true;
  }

  /** From here on node:tls has the connection to itself, with whatever comes. */
  stream(): void {
    this.#mode = 'stream';
    const bytes = this.#waiting;
    this.#waiting = NOTHING;
    this.#raw.resume();
    if (bytes.length > 0) this.#pushOn(bytes);
  }

  /** From here on node:tls sends nothing: the connection is another's. */
  detach(): void {
    this.#mode = 'detached';
  }

  override _read(): void {
    if (this.#mode === 'stream') this.#raw.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    if (this.#mode !== 'detached') {
      this.#sent.count(chunk);
      this.#raw.send(chunk);
    }
    done();
  }

  override _final(done: () => void): void {
    if (this.#mode !== 'detached') this.#raw.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#mode === 'stream') this.#raw.destroy();
    done(error);
  }

  #pushOn(bytes: Uint8Array): void {
    if (!this.push(bytes)) this.#raw.pause();
  }
}

/** Where the first record ends; beyond the bytes when it is not all there. */
function recordEnd(bytes: Uint8Array): number {
  if (bytes.length === 0) return HEADER_BYTES;
  if (bytes[0]! < FIRST_TYPE || bytes[0]! > LAST_TYPE) return bytes.length;
  if (bytes.length > 1 && bytes[1] !== VERSION_MAJOR) return bytes.length;
  if (bytes.length < HEADER_BYTES) return HEADER_BYTES;
  const length = lengthAt(bytes, 0);
  return length > CIPHERTEXT_MAX ? bytes.length : HEADER_BYTES + length;
}

/** Counts the records of a stream of bytes that is cut anyhow. */
class RecordCounter {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #bodyLeft = 0;
  /** Those that are complete. */
  records = 0;

  count(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#header[this.#headerBytes++] = bytes[at++]!;
        if (this.#headerBytes === HEADER_BYTES) this.#bodyLeft = lengthAt(this.#header, 0);
        continue;
      }
      const part = Math.min(this.#bodyLeft, bytes.length - at);
      this.#bodyLeft -= part;
      at += part;
      if (this.#bodyLeft > 0) continue;
      this.#headerBytes = 0;
      this.records += 1;
    }
  }
}
