/** What a conversation runs over, once it is open. Messages are kept whole and in order. */
export interface MessageChannel<Message> {
  /**
   * Resolves when there is credit for a further message; rejects when the channel has died, and when it
   * {@link isOpen} and the message cannot be said: then nothing of that was sent.
   */
  send(message: Message): Promise<void>;
  /** It takes further messages. */
  readonly isOpen: boolean;
  /** Ends when the peer closes, and throws when the channel dies. */
  readonly messages: AsyncIterable<Message>;
  /** May be called again, and when the channel has died. */
  close(): void;
  /** Resolves when the channel has ended, with the error when it died; never rejects. */
  readonly closed: Promise<unknown>;
}

/**
 * Opens a channel; must reject soon after `signal` fires. Where it tries again by itself it says so with
 * `goesOn`: why, and in how many ms.
 */
export type OpenChannel<Message> = (
  signal: AbortSignal,
  goesOn: (failure: unknown, delayMs: number) => void,
) => Promise<MessageChannel<Message>>;
