/** Who a node is, as its certificate says: `routy://FABRIC/SITE/NODE` in a URI SAN. */
export interface Identity {
  readonly fabric: string;
  readonly site: string;
  readonly node: string;
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** True for a name that may be a fabric, site, node or service: 1 to 63 of a-z, 0-9, '-'. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** `SITE/NODE`: what a node is called within its fabric. */
export function nodeName(identity: Pick<Identity, 'site' | 'node'>): string {
  return `${identity.site}/${identity.node}`;
}

/** `routy://FABRIC/SITE/NODE`. */
export function identityUri(identity: Identity): string {
  return `routy://${identity.fabric}/${identity.site}/${identity.node}`;
}

/** The identity in a URI made by {@link identityUri}, or undefined when it is not one. */
export function parseIdentityUri(uri: string): Identity | undefined {
  if (!uri.startsWith('routy://')) return undefined;
  const parts = uri.slice('routy://'.length).split('/');
  if (parts.length !== 3 || !parts.every(isName)) return undefined;
  return { fabric: parts[0]!, site: parts[1]!, node: parts[2]! };
}
