import type { Identity, RoutyError } from '@routy/proto/base';
import { LinkError } from './link-error.ts';

export type { TlsCredentials } from './tls/credentials.ts';

/** See {@link Lane.exporter}. */
export const LANE_EXPORTER_LABEL = 'EXPORTER-routy-lane';

/** Length of {@link Lane.exporter}. */
export const LANE_EXPORTER_BYTES = 32;

/** Bytes queued in the process above which `write` returns false. */
export const LANE_HIGH_WATER_BYTES = 64 * 1024;

/** In place of an address: the connection was reset before anybody asked. */
export const ADDRESS_GONE = 'unknown';

/** How long `end` waits for the queue to leave and the peer to end too, in ms. */
export const LANE_LINGER_MS = 10_000;

/** Who a lane tells what comes of it. */
export interface LaneHandlers {
  /** Decrypted bytes, in order, any size. The view is the receiver's to keep. */
  onData(chunk: Uint8Array): void;
  /**
   * A lane may call this one, where there is one, in place of `onData`: the memory of the chunk is the
   * lane's, and used again when this returns.
   */
  onLent?(chunk: Uint8Array): void;
  /** The queue fell to zero after a `write` that returned false. */
  onDrain(): void;
  /** Once, last: the lane is gone. `error` is undefined after a clean end by either side. */
  onClose(error: RoutyError | undefined): void;
}

/**
 * One authenticated connection that carries a session's frames. Session code must not know which
 * transport is behind it.
 */
export interface Lane {
  /** From the peer's certificate, already verified against the fabric's CA. */
  readonly peer: Identity;
  /** Which end this side is. */
  readonly direction: 'dialled' | 'accepted';
  /** `host:port`. */
  readonly remoteAddress: string;
  /** `host:port`. */
  readonly localAddress: string;
  /** For people: `TLSv1.3 TLS_AES_128_GCM_SHA256`. */
  readonly security: string;
  /**
   * 32 bytes that both ends know and nobody else, another value for every lane: the TLS exporter
   * (RFC 8446 §7.5) with {@link LANE_EXPORTER_LABEL} and no context. A proof over them cannot be
   * carried from one lane to another.
   */
  readonly exporter: Uint8Array;
  /** Bytes accepted by `write` that the operating system has not taken yet. */
  readonly queuedBytes: number;
  /** Sets the handlers and starts reading. Called exactly once. */
  bind(handlers: LaneHandlers): void;
  /** Queues the buffers in order as one gathered write; false asks the caller to wait for `onDrain`. */
  write(buffers: readonly Uint8Array[]): boolean;
  /** Reads no more until `resume`; what the system holds is the back pressure. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Sends what is queued, then ends the connection. */
  end(): void;
  /** Ends the connection now; queued bytes are lost. */
  destroy(error?: RoutyError): void;
}

/** That the peer left what was sent last lying until the time of {@link LANE_LINGER_MS} was over. */
export function lingerFailure(
  { remoteAddress, queuedBytes }: Pick<Lane, 'remoteAddress' | 'queuedBytes'>,
  lingerMs: number,
): LinkError {
  return new LinkError(
    'lane-timeout',
    `lane to ${remoteAddress} did not take the last ${queuedBytes} bytes within ${lingerMs} ms`,
  );
}

/** What is known of a lane when its connection is closed. */
export interface LaneOutcome {
  /** Whose outcome it is. */
  readonly lane: Pick<Lane, 'peer' | 'direction' | 'remoteAddress'>;
  /** `end` or `destroy` was called here. */
  readonly isFinishing: boolean;
  /** The peer has said something before. */
  readonly isHeard: boolean;
  /** The peer has ended it in order. */
  readonly isEnded: boolean;
  /** What has gone wrong, if anything. */
  readonly error: RoutyError | undefined;
}

/** What `onClose` is to say of it. */
export function laneOutcome(outcome: LaneOutcome): RoutyError | undefined {
  const { lane, isFinishing, isHeard, isEnded, error } = outcome;
  if (isFinishing) return error;
  // In TLS 1.3 the dialler is done before the listener has looked at its certificate, so a
  // refusal comes as an orderly end before the first byte. A reset is none: a listener that is
  // short of room makes one, and so does a path.
  const isOrderly = error === undefined && lane.remoteAddress !== ADDRESS_GONE;
  if (lane.direction === 'dialled' && !isHeard && isOrderly) {
    const { peer, remoteAddress } = lane;
    return new LinkError(
      'lane-refused',
      `${peer.site}/${peer.node} at ${remoteAddress} closed the lane before its first byte`,
      {
        hint: "the peer probably refused this node's certificate (has it ended?): its log, or event 'refused', says why",
      },
    );
  }
  if (error !== undefined || isEnded) return error;
  return new LinkError('lane-closed', `lane to ${lane.remoteAddress} was closed underneath`);
}
