import { type AlertName, alertBytes } from './alerts.ts';
import { keyUpdateMessage } from './post-handshake.ts';
import {
  ALERT,
  APPLICATION_DATA,
  CONTENT_MAX,
  HANDSHAKE,
  OVERHEAD_BYTES,
} from './record-format.ts';
import { SendTraffic, type TrafficOptions } from './traffic.ts';

const KEY_UPDATE_BYTES = OVERHEAD_BYTES + keyUpdateMessage(false).length;
const ALERT_BYTES = OVERHEAD_BYTES + alertBytes('close_notify').length;

/**
 * Makes this side's records. What TLS itself has to say goes first, a KeyUpdate when the key is used up
 * in between, and an alert last: after it there is no key any more.
 */
export class RecordSender {
  readonly #traffic: SendTraffic;
  readonly #recordsMax: number;
  readonly #onKeyUpdate: () => void;
  #update: 'none' | 'due' | 'due-and-requested' = 'none';
  #alert: AlertName | undefined;
  #isEnded = false;

  constructor(options: TrafficOptions, recordsMax: number, onKeyUpdate: () => void) {
    this.#traffic = new SendTraffic(options);
    this.#recordsMax = recordsMax;
    this.#onKeyUpdate = onKeyUpdate;
  }

  /** There is something to send beside data. */
  get hasControl(): boolean {
    return !this.#isEnded && (this.#update !== 'none' || this.#alert !== undefined);
  }

  /** Neither an alert was sent nor is one about to be. */
  get isOpen(): boolean {
    return !this.#isEnded && this.#alert === undefined;
  }

  /** Announces the next key; several wishes before the next `seal` are one (RFC 8446 §4.6.3). */
  updateKey(isRequested: boolean): void {
    if (isRequested) this.#update = 'due-and-requested';
    else if (this.#update === 'none') this.#update = 'due';
  }

  /** The last thing to be sent. A fatal one takes the place of a close_notify, and of all else. */
  close(alert: AlertName): void {
    if (alert !== 'close_notify') this.#update = 'none';
    this.#alert = alert;
  }

  /** Most bytes that records for `length` bytes of data can be. */
  sealedBytesMax(length: number): number {
    const records = Math.ceil(length / CONTENT_MAX);
    return length + records * OVERHEAD_BYTES + (records + 1) * KEY_UPDATE_BYTES + ALERT_BYTES;
  }

  /** Seals `pieces`, one after the other, into `out`, and returns how many bytes that is. */
  seal(pieces: readonly Uint8Array[], out: Uint8Array): number {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    if (length > 0 && !this.isOpen) throw new Error('data after the end of a connection');
    if (this.#isEnded) return 0;
    const neededBytes = this.sealedBytesMax(length);
    if (out.length < neededBytes) throw new RangeError(`records may need ${neededBytes} bytes`);
    let at = this.#update === 'none' ? 0 : this.#sealKeyUpdate(out, 0);
    if (length > 0) at = this.#sealData(pieces, length, out, at);
    return this.#alert === undefined ? at : this.#sealAlert(this.#alert, out, at);
  }

  /** Sends no more, and clears the key. */
  stop(): void {
    this.#isEnded = true;
    this.#traffic.clear();
  }

  #sealData(pieces: readonly Uint8Array[], length: number, out: Uint8Array, start: number): number {
    const traffic = this.#traffic;
    let at = start;
    let index = 0;
    let offset = 0;
    for (let left = length; left > 0; ) {
      at = this.#updateInTime(out, at);
      let room = Math.min(left, CONTENT_MAX);
      left -= room;
      traffic.begin(room, out, at);
      while (room > 0) {
        const piece = pieces[index]!;
        const part = Math.min(room, piece.length - offset);
        traffic.add(part === piece.length ? piece : piece.subarray(offset, offset + part), out);
        room -= part;
        offset += part;
        if (offset < piece.length) continue;
        index += 1;
        offset = 0;
      }
      at = traffic.finish(APPLICATION_DATA, out);
    }
    return at;
  }

  /** The last record that a key may protect says that the next one follows (RFC 8446 §5.5). */
  #updateInTime(out: Uint8Array, at: number): number {
    if (this.#traffic.sequence + 1 < this.#recordsMax) return at;
    return this.#sealKeyUpdate(out, at);
  }

  #sealKeyUpdate(out: Uint8Array, at: number): number {
    const message = keyUpdateMessage(this.#update === 'due-and-requested');
    this.#update = 'none';
    const end = this.#sealMessage(HANDSHAKE, message, out, at);
    this.#traffic.update();
    this.#onKeyUpdate();
    return end;
  }

  #sealAlert(alert: AlertName, out: Uint8Array, at: number): number {
    const end = this.#sealMessage(ALERT, alertBytes(alert), out, at);
    this.stop();
    return end;
  }

  #sealMessage(type: number, message: Uint8Array, out: Uint8Array, at: number): number {
    this.#traffic.begin(message.length, out, at);
    this.#traffic.add(message, out);
    return this.#traffic.finish(type, out);
  }
}
