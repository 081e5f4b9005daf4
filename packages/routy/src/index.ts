/** The public library API. It grows with the link layer; for now the names other programs match on. */
export { type Address, formatAddress, parseAddress } from '@routy/proto/base';
export { RoutyError } from '@routy/proto/base';
export { type Identity, identityUri, parseIdentityUri } from '@routy/proto/base';
export type { NodeStatus } from './status/status.ts';
