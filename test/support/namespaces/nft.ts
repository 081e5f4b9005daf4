import type { Namespace } from './namespaces.ts';
import { runOk } from '../process.ts';

/** Loads nftables rules in a namespace. */
async function load(namespace: Namespace, rules: string): Promise<void> {
  await runOk('ip', ['netns', 'exec', namespace.name, 'nft', '-f', '-'], { input: rules });
}

/**
 * The firewall of the inside network: answers to connections made from inside come in, every new
 * inbound connection is dropped and counted.
 */
export async function dropNewInbound(namespace: Namespace): Promise<void> {
  const device = namespace.device;
  await load(
    namespace,
    `table inet firewall {
  counter refused { }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "${device}" ct state established,related accept
    iifname "${device}" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
    iifname "${device}" counter name refused drop
  }
}
`,
  );
}

/** How many packets the firewall has dropped so far. */
export async function droppedPackets(namespace: Namespace): Promise<number> {
  const text = await runOk('ip', [
    ...['netns', 'exec', namespace.name],
    ...['nft', 'list', 'counter', 'inet', 'firewall', 'refused'],
  ]);
  const match = /packets (\d+)/.exec(text);
  if (match === null) throw new Error(`no counter in: ${text}`);
  return Number(match[1]);
}

/**
 * Swallows everything that arrives, before connection tracking sees it. Done at both receiving
 * ends, a sender notices nothing: its packets leave and never come back as an error.
 */
export async function swallowArriving(namespace: Namespace): Promise<void> {
  await load(
    namespace,
    `table inet blackhole {
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
    iifname "${namespace.device}" drop
  }
}
`,
  );
}

export async function stopSwallowing(namespace: Namespace): Promise<void> {
  await load(namespace, 'delete table inet blackhole\n');
}
