import type { Aead } from '../crypto/aead.ts';
import type { CipherSuite } from '../crypto/cipher-suites.ts';
import { ProtocolViolation } from './alerts.ts';
import { RecordReceiver } from './record-receiver.ts';
import { RecordSender } from './record-sender.ts';

export interface RecordLayerOptions {
  readonly isClient: boolean;
  readonly aead: Aead;
  readonly suite: CipherSuite;
  /** Application traffic secrets of this side and of the peer; the layer clears them. */
  readonly sendSecret: Uint8Array;
  readonly receiveSecret: Uint8Array;
  /** Records already sent with the key of `sendSecret`, as a server's tickets; 0 by default. */
  readonly sentRecords?: number;
  /** Records for each key, at least 2; what the suite allows by default. */
  readonly recordsMax?: number;
}

/** Why a connection is at its end before its time. */
export interface RecordFailure {
  /**
   * `violation`: the peer broke the protocol and is sent an alert; `alert`: it sent one itself;
   * `truncated`: its bytes ended without a close_notify, so some may be missing (RFC 8446 §6.1).
   */
  readonly kind: 'violation' | 'alert' | 'truncated';
  /** The name of the alert, as in RFC 8446 §6; undefined of what is truncated. */
  readonly alert: string | undefined;
  /** One line for a log. */
  readonly text: string;
}

/** What TLS said for itself so far. */
export interface RecordCounts {
  tickets: number;
  keyUpdatesSent: number;
  keyUpdatesReceived: number;
}

/**
 * The record layer of TLS 1.3 after its handshake (RFC 8446 §5, §4.6, §6): bytes of the peer become
 * plaintext, data becomes records. It reads and writes no socket.
 *
 * Whoever has one calls {@link receive} with what the socket brought and {@link seal} when there is data
 * or {@link hasControl} is true, and ends the connection when there is a {@link failure}.
 */
export class RecordLayer {
  readonly counts: RecordCounts = { tickets: 0, keyUpdatesSent: 0, keyUpdatesReceived: 0 };
  readonly #sender: RecordSender;
  readonly #receiver: RecordReceiver;
  readonly #recordsMax: number;
  #failure: RecordFailure | undefined;
  #isEnded = false;
  /** The peer was asked for its next key and has not gone on with it yet. */
  #isUpdateAwaited = false;

  constructor(options: RecordLayerOptions) {
    const { aead, suite, sendSecret, receiveSecret, isClient } = options;
    this.#recordsMax = Math.max(2, options.recordsMax ?? suite.recordsMax);
    const send = { aead, suite, secret: sendSecret, sequence: options.sentRecords ?? 0 };
    this.#sender = new RecordSender(send, this.#recordsMax, () => {
      this.counts.keyUpdatesSent += 1;
    });
    const receive = { aead, suite, secret: receiveSecret, sequence: 0 };
    this.#receiver = new RecordReceiver(receive, isClient, {
      onTicket: () => {
        this.counts.tickets += 1;
      },
      onKeyUpdate: (isRequested) => this.#handleKeyUpdate(isRequested),
      onCloseNotify: () => {
        this.#isEnded = true;
      },
      onAlert: (alert) => this.#handleAlert(alert),
    });
  }

  /** The connection failed; what was delivered before is good. */
  get failure(): RecordFailure | undefined {
    return this.#failure;
  }

  /** The peer has sent all and said so. This side may send on. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Something is to be sent although there may be no data: call `seal`, with no pieces if there are none. */
  get hasControl(): boolean {
    return this.#sender.hasControl;
  }

  /** Data may be sealed: neither side has failed, and `end` was not called. */
  get canSend(): boolean {
    return this.#sender.isOpen;
  }

  /**
   * Takes bytes of the peer, which are decrypted in their place, and hands on the plaintext, as views of
   * them. Returns how many were used; the rest is part of a record, and has to be given again together with
   * what follows. Plaintext is handed on only after the tag of its record was found right.
   */
  receive(bytes: Uint8Array, onPlaintext: (piece: Uint8Array) => void): number {
    if (this.#failure !== undefined) return bytes.length;
    try {
      const used = this.#receiver.read(bytes, onPlaintext);
      this.#askForUpdate();
      return used;
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
      this.#fail('violation', error.alert, `${error.message} (${error.alert})`);
      if (this.#sender.isOpen || this.#sender.hasControl) this.#sender.close(error.alert);
      return bytes.length;
    }
  }

  /** No more bytes will come. Without the peer's close_notify that is a failure. */
  receiveEnd(): void {
    if (this.#isEnded || this.#failure !== undefined) return;
    this.#fail('truncated', undefined, 'the connection ended without a close_notify');
    this.#sender.stop();
  }

  /** Most bytes that `seal` needs for `length` bytes of data. */
  sealedBytesMax(length: number): number {
    return this.#sender.sealedBytesMax(length);
  }

  /**
   * Writes records with all of `pieces` to the start of `out`, which has {@link sealedBytesMax} bytes or
   * more, and what else there is to say. Returns the number of bytes, to be sent in the order of the calls.
   */
  seal(pieces: readonly Uint8Array[], out: Uint8Array): number {
    return this.#sender.seal(pieces, out);
  }

  /** This side goes on with its next key, and asks the peer to do the same (RFC 8446 §4.6.3). */
  updateKeys(): void {
    this.#isUpdateAwaited = true;
    this.#sender.updateKey(true);
  }

  /** Sends a close_notify with the next `seal`: no data of this side follows it. */
  end(): void {
    if (this.#sender.isOpen) this.#sender.close('close_notify');
  }

  /** Clears all keys and secrets; the layer takes and gives nothing more. */
  clear(): void {
    this.#receiver.stop();
    this.#sender.stop();
  }

  /** The peer's key has protected as much as it may: should it not see to that itself, it is asked to. */
  #askForUpdate(): void {
    if (this.#isUpdateAwaited || this.#receiver.sequence < this.#recordsMax) return;
    if (this.#sender.isOpen) this.updateKeys();
  }

  #handleKeyUpdate(isRequested: boolean): void {
    this.counts.keyUpdatesReceived += 1;
    this.#isUpdateAwaited = false;
    if (isRequested && this.#sender.isOpen) this.#sender.updateKey(false);
  }

  #handleAlert(alert: string): void {
    this.#fail('alert', alert, `the peer ended the connection: ${alert}`);
    this.#sender.stop();
  }

  #fail(kind: RecordFailure['kind'], alert: string | undefined, text: string): void {
    this.#failure = { kind, alert, text };
    this.#receiver.stop();
  }
}
