export {
  type ProtocolAnswer,
  Protocols,
  type ProtocolsOptions,
  type SpokenProtocol,
} from './protocols.ts';
