/**
 * Names, addresses, units, errors and back-off: what everything else speaks of.
 *
 * @module @routy/proto/base
 */
export {
  type Address,
  formatAddress,
  formatHostPort,
  parseAddress,
  parseTcpAddress,
  type TcpAddress,
  type UnixAddress,
} from './address.ts';
export {
  backoffCapMs,
  classifyFailure,
  type FailureClass,
  NETWORK_CAP_MS,
  nextDelayMs,
  REFUSAL_CAP_MS,
} from './backoff.ts';
export { errorText, InvariantError, invariant, RoutyError } from './errors.ts';
export { type Identity, identityUri, isName, nodeName, parseIdentityUri } from './identity.ts';
export { visibleLines, visibleText } from './text.ts';
export { formatDuration, formatSize, type Parsed, parseDuration, parseSize } from './units.ts';
