import type { HandshakeFailure } from './handshake-failure.ts';

/** Who hears what became of a handshake: one of the two, once. */
export interface HandshakeHandlers<S> {
  /** TLS is established, and nothing of what the peer sent after it has been read. */
  onSecure(secured: S): void;
  /** What is for the peer, as an alert, has been sent. */
  onFailed(failure: HandshakeFailure): void;
}

/**
 * A connection that was accepted, on its way through TLS. How it is read and who makes the handshake are
 * matters of the data plane; how long it may take and who has to go first are those of
 * `ConnectionAcceptor`.
 */
export interface AcceptedConnection<S> {
  /** Undefined when it is gone already. */
  readonly remoteAddress: string | undefined;
  /** As the address. */
  readonly remotePort: number | undefined;
  /** What has come of the peer. */
  readonly bytesRead: number;
  /** `listener` is called once, whoever has closed it. */
  onClose(listener: () => void): void;
  /** Waits for its first bytes without handing them to TLS, and tells how many they are; once. */
  awaitBytes(heard: (count: number) => void): void;
  /**
   * Begins the handshake.
   *
   * @throws RoutyError `credentials-invalid`
   */
  handshake(handlers: HandshakeHandlers<S>): void;
  /** Closes, in the words of TLS once that is established; what still comes is thrown away. */
  farewell(): void;
  /** Closes without a word. */
  destroy(): void;
  /** Closes without a word, by a reset. */
  reset(): void;
}

/** Takes a connection of a listener, `R`, through TLS; what that gives is `S`. */
export interface TlsEngine<R, S> {
  /** `raw` was just accepted, nothing was read of it, and it belongs to what is returned. */
  accept(raw: R): AcceptedConnection<S>;
}
