export { type ConnectTlsOptions, connectTls } from './handshake/connect-tls.ts';
export type { Established } from './handshake/handshake.ts';
export type { RawConnection, RawHandlers } from './handshake/raw-connection.ts';
export { RecordLayer, type RecordFailure, type RecordLayerOptions } from './record-layer.ts';
export type { Secured } from './handshake/accepted-tls.ts';
export { TlsAcceptor } from './handshake/tls-acceptor.ts';
