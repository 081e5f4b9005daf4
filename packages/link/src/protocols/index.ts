/**
 * Who speaks which protocol: versions and capabilities are picked, and owners come and go.
 *
 * @module @routy/link/protocols
 */
export {
  type ProtocolAnswer,
  Protocols,
  type ProtocolsOptions,
  type SpokenProtocol,
} from './protocols.ts';
