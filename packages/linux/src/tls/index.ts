export { type ConnectTlsOptions, connectTls } from './handshake/connect-tls.ts';
export { type Established, Handshake, HandshakeFailure } from './handshake/handshake.ts';
export { RecordLayer, type RecordFailure, type RecordLayerOptions } from './record-layer.ts';
export { type AcceptTlsOptions, TlsAcceptor } from './handshake/tls-acceptor.ts';
