import type { TlsCredentials } from '@routy/link/transport';
import { RoutyError } from '@routy/proto/base';
import { loadCredentials } from '../../pki/node/credentials.ts';

/**
 * Who the node in this state directory is, when that is who its configuration says.
 *
 * @param options.expired takes a certificate that has ended too
 *
 * @throws RoutyError `identity-differs`, and those of `loadCredentials`
 */
export async function ownCredentials(
  state: string,
  node: string,
  site: string,
  options: { readonly expired?: boolean } = {},
): Promise<TlsCredentials> {
  const credentials = await loadCredentials(state, options);
  const { identity } = credentials;
  if (identity.node === node && identity.site === site) return credentials;
  throw new RoutyError(
    'identity-differs',
    `the certificate in ${state} is for ${identity.site}/${identity.node}, but [node] says ${site}/${node}`,
    {
      hint: `set site = "${identity.site}" and name = "${identity.node}" in [node], or correct state`,
    },
  );
}
