/**
 * What a stream ends in: the port `ByteStream` and `ByteReceiver`, and its adapters to promises, web
 * streams, Node streams, sockets and messages.
 *
 * @module @routy/link/streams
 */
export { AsyncByteStream, webStreamsOf } from './adapters/async-byte-stream.ts';
export { ByteChannel, type ChannelUser, StreamResetError } from './adapters/byte-channel.ts';
export type { MessageCodec, MessageStreamOptions } from './adapters/message-options.ts';
export { MessageStream } from './adapters/message-stream.ts';
export { StreamDuplex } from './adapters/stream-duplex.ts';
export type { ByteReceiver, ByteStream } from './byte-stream.ts';
export { keepAlive } from './keepalive.ts';
export { keepReadable } from './kept-readable.ts';
export { type EndpointSide, SocketEndpoint } from './socket-endpoint.ts';
export { SocketRounds } from './socket-rounds.ts';
export { isGone, type Watched, watch } from './socket-watch.ts';
export { resetSocket } from './sockets.ts';
export type { StreamEnd, StreamEndHandler } from './stream-end.ts';
export { NodeStreamSocket, type StreamSocket } from './stream-socket.ts';
