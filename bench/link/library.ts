/** What each library does for the bench, in the way its own users would do it. */
import type { TlsCredentials } from '../../packages/link/src/transport/tls/credentials.ts';

/** In the order of the table. */
export const LIBRARIES = ['routy', 'routy-native', 'http2', 'grpc', 'yamux', 'tls'] as const;
export type LibraryName = (typeof LIBRARIES)[number];

/** A library between two processes: TLS 1.3, both with certificates, messages of bytes. */
export interface Library {
  /** Serves what {@link LinkClient} asks for, on a free port of 127.0.0.1 which it returns. */
  serve(credentials: TlsCredentials): Promise<number>;
  connect(credentials: TlsCredentials, port: number): Promise<LinkClient>;
}

/** One connection to the server. */
export interface LinkClient {
  /** Opens a stream on which the server counts messages. */
  openMessages(): Promise<MessageSink>;
  /** Sends `body` and gets the server's answer, which is as long. */
  request(body: Uint8Array): Promise<Uint8Array>;
  /** Opens a stream, sends one message, gets it back, and is done when both ends have closed it. */
  openStream(message: Uint8Array): Promise<void>;
}

/** A stream of messages to the server, with the library's own flow control. */
export interface MessageSink {
  /** Undefined: the next may follow at once. Else it may when that is resolved. */
  send(message: Uint8Array): Promise<void> | undefined;
  /** Ends the stream; what the server says to have received by then. */
  finish(): Promise<Received>;
}

/** What came on a stream of messages. */
export interface Received {
  readonly messages: number;
  readonly bytes: number;
}
