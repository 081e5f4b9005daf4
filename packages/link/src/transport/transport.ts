import type { Address, RoutyError } from '@routy/proto/base';
import type { Lane } from './lane.ts';

/** Where a transport listens or dials; text is for the transport alone to read. */
export type TransportAddress = Address | string;

/** What a listener of a transport tells. */
export interface TransportHandlers {
  /** A peer has come, and its lane knows who it is. */
  onLane(lane: Lane): void;
  /** A connection was turned away before it became a lane. */
  onRefused(refusal: {
    readonly remoteAddress: string;
    readonly code: string;
    readonly reason: string;
  }): void;
  /** The listener died; it is opened again by itself. */
  onError(error: RoutyError): void;
  /** It is open again after `onError`. */
  onReopened(): void;
}

/** An address that a transport listens on, until it is closed. */
export interface TransportListener {
  /** With what was chosen by the system, as the port for port 0. */
  readonly address: TransportAddress;
  /** Stops listening; lanes that were handed out live on. */
  close(): Promise<void>;
}

/**
 * One way to make lanes: what a link dials and listens by, under the name that candidates have. A lane
 * it makes has to keep the promises of {@link Lane}.
 */
export interface Transport {
  /**
   * The peer of a lane is proven to be who `Lane.peer` says. False: it is whoever it says it is, and
   * whoever can connect can be any node.
   */
  readonly isProven: boolean;
  /**
   * Throws when it can never dial that address, since it is none of its own: a program is told so where it
   * dials, and not by attempts that fail for ever. Left out, `dial` says so at each attempt.
   *
   * @throws LinkError `address-invalid`
   */
  checkAddress?(address: TransportAddress): void;
  /** Rejects soon after `signal` fires; with a RoutyError of a `dial-…` code when it fails. */
  dial(address: TransportAddress, signal: AbortSignal): Promise<Lane>;
  /** Rejects with a RoutyError of a `listen-…` code when the address cannot be had. */
  listen(address: TransportAddress, handlers: TransportHandlers): Promise<TransportListener>;
}
