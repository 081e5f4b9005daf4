import { type Address, formatAddress } from '@routy/proto/base';
import type { Draft } from './draft.ts';
import type { KeyPath } from './toml/document.ts';

/** One address this node would listen on, and the key that says so. */
export interface ListeningAddress {
  readonly path: KeyPath;
  readonly address: Address;
}

/** Every address the file makes the node listen on, in the order in which they are claimed. */
export function listeningAddresses(draft: Draft): ListeningAddress[] {
  const found: ListeningAddress[] = [];
  if (draft.listen) found.push({ path: ['listen', 'address'], address: draft.listen.address });
  for (const { path, value } of draft.forwards) {
    found.push({ path: [...path, 'listen'], address: value.listen });
  }
  const metrics = draft.admin?.metricsListen;
  if (metrics) found.push({ path: ['admin', 'metrics_listen'], address: metrics });
  return found;
}

/**
 * Addresses claimed one after the other; finds for each the first earlier one that it collides with,
 * without a look at all of them.
 */
export class ClaimedAddresses<T extends { readonly address: Address }> {
  /** By what they take, at its first claim. `any`, `any4`: whichever address of the port, of IPv4. */
  readonly #first = new Map<string, { order: number; claim: T }>();
  #claims = 0;

  /** The first earlier claim that cannot be listened on together with this one. */
  claim(claim: T): T | undefined {
    this.#claims += 1;
    const { takes, clashes } = keysOf(claim.address);
    const earlier = clashes
      .map((key) => this.#first.get(key))
      .filter((found) => found !== undefined)
      .sort((a, b) => a.order - b.order)[0];
    for (const key of takes) {
      if (!this.#first.has(key)) this.#first.set(key, { order: this.#claims, claim });
    }
    return earlier?.claim;
  }
}

/**
 * `::` also takes the IPv4 side, as Node listens on both families with it.
 * `a` clashes with an earlier `b` exactly when one of its `clashes` is among the `takes` of `b`.
 */
function keysOf(address: Address): { takes: string[]; clashes: string[] } {
  if (address.kind === 'unix') {
    const key = formatAddress(address);
    return { takes: [key], clashes: [key] };
  }
  const { port } = address;
  if (port === 0) return { takes: [], clashes: [] };
  if (address.host.toLowerCase() === 'localhost') {
    const both = ['127.0.0.1', '::1'].map((each) => keysOf({ kind: 'tcp', host: each, port }));
    return {
      takes: both.flatMap(({ takes }) => takes),
      clashes: both.flatMap(({ clashes }) => clashes),
    };
  }
  const host = canonicalHost(address.host);
  const v6 = host.includes(':');
  const exact = `${port} ${host}`;
  const takes = v6 ? [exact, `${port} any`] : [exact, `${port} any4`, `${port} any`];
  if (host === '::') return { takes, clashes: [`${port} any`] };
  if (host === '0.0.0.0') return { takes, clashes: [`${port} any4`, `${port} ::`] };
  const wildcards = v6 ? [`${port} ::`] : [`${port} 0.0.0.0`, `${port} ::`];
  return { takes, clashes: [exact, ...wildcards] };
}

/** Whether both cannot be listened on at once; port 0 takes any free port and never collides. */
export function addressesCollide(a: Address, b: Address): boolean {
  const claimed = new ClaimedAddresses<{ address: Address }>();
  claimed.claim({ address: a });
  return claimed.claim({ address: b }) !== undefined;
}

function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower.includes(':') ? canonicalIpv6(lower) : lower;
}

// The URL parser writes an IPv6 address in its one short form; a scoped one (%eth0) it refuses.
function canonicalIpv6(host: string): string {
  return URL.canParse(`tcp://[${host}]`) ? new URL(`tcp://[${host}]`).hostname.slice(1, -1) : host;
}
