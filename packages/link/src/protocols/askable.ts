import { type OpenPayload, openFault } from '@routy/proto/wire';
import { LinkError } from '../transport/link-error.ts';

/**
 * Fails for what no peer could be asked for in an OPEN.
 *
 * @throws LinkError `argument-invalid`, which begins with `what`
 */
export function mustBeAskable(what: string, open: OpenPayload): void {
  const fault =
    openFault(open)?.replace(/^OPEN /, '') ??
    (open.versions.length === 0 ? 'versions is an empty list' : undefined);
  if (fault === undefined) return;
  throw new LinkError('argument-invalid', `${what}: ${fault}`, { hint: HINT });
}

const HINT =
  "a protocol's name has 1 to 63 of a-z, 0-9 and -, as change-log; versions are a list such as [1, 2], " +
  'capabilities a list of texts, and service is a text of at most 255 characters';
