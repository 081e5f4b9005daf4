import type { RoutyError } from '@routy/proto/base';
import type { TransportAddress } from '../transport/transport.ts';
import type { Refused } from './peer/accepted-peers.ts';
import type { Peer } from './peer/peer.ts';

/** What a link tells, by name of the event. Nothing of it has to be listened to. */
export interface LinkEvents {
  /** A node has dialled here, and its session is established. */
  peer: [peer: Peer];
  /** A connection was turned away. */
  refused: [refused: Refused];
  /** A listener has died; it is opened again by itself. */
  listenerFailed: [error: RoutyError, address: TransportAddress];
  /** It is open again. */
  listenerReopened: [address: TransportAddress];
  /** An accept or reply function has failed, and its stream was reset; a warning where nobody listens. */
  acceptFailed: [error: unknown, protocol: string];
  /**
   * A listener of the link or of a peer has thrown, or its promise was rejected; with the event it was
   * for. Where nobody listens to this one the process has the error, as with any EventEmitter.
   */
  listenerThrew: [error: unknown, event: string];
}
