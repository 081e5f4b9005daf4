/** The public library API. It grows with the link layer; for now the names other programs match on. */
export { type Address, formatAddress, parseAddress } from './base/address.ts';
export { RoutyError } from './base/errors.ts';
export { type Identity, identityUri, parseIdentityUri } from './base/identity.ts';
export type { NodeStatus } from './node/status.ts';
