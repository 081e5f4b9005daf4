import { type Identity, isName } from '@routy/proto/base';

/**
 * May this peer open the service? An entry is a site (`gray`) or one node (`gray/gray1`); anything
 * else, and an empty list, lets nobody in. The fabric is not looked at: only peers of one's own
 * fabric get a session.
 */
export function mayOpen(allow: readonly string[], peer: Pick<Identity, 'site' | 'node'>): boolean {
  // An identity that is no pair of names could otherwise spell another one's entry.
  if (!isName(peer.site) || !isName(peer.node)) return false;
  return allow.includes(peer.site) || allow.includes(`${peer.site}/${peer.node}`);
}
