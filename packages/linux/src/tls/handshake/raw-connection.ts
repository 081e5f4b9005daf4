/** Who is told what comes of a connection. */
export interface RawHandlers {
  /** In order, cut anyhow. Valid until this returns. */
  onBytes(bytes: Uint8Array): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** It is gone, whoever closed it; once, last. */
  onClose(): void;
}

/** A connection below TLS, as its socket offers it. It is paused at first. */
export interface RawConnection {
  /** Undefined when it is gone already. */
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** `handlers` are told from now on; others may take over later, while it is paused. */
  bind(handlers: RawHandlers): void;
  resume(): void;
  pause(): void;
  /** Sends bytes in order. They are the receiver's to keep. */
  send(bytes: Uint8Array): void;
  /** Sends no more, behind what was sent. It closes when the peer has ended, too. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** The same, by a reset. */
  reset(): void;
}
