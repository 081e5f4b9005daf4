export { type ConnectTlsOptions, connectTls } from './connect-tls.ts';
export { type Established, Handshake, HandshakeFailure } from './handshake.ts';
export { RecordLayer, type RecordFailure, type RecordLayerOptions } from './record-layer.ts';
export { type AcceptTlsOptions, TlsAcceptor } from './tls-acceptor.ts';
