/** The public library API. It grows with the link layer; for now the names other programs match on. */
export {
  type Address,
  formatAddress,
  type Identity,
  identityUri,
  parseAddress,
  parseIdentityUri,
  RoutyError,
} from '@routy/proto/base';
export type { NodeStatus } from './status/status.ts';
