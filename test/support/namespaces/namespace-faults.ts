import { type Namespace, type Network, runInside } from './namespaces.ts';
import { runOk } from '../process.ts';

/** A TCP connection as one of its ends sees it: `host:port` of both ends. */
export interface Flow {
  readonly local: string;
  readonly remote: string;
}

/** A fault that is in the network until it is healed. */
export interface Fault {
  heal(): Promise<void>;
}

let lastTable = 0;

/**
 * Loads rules for what arrives at a namespace by its cable, before connection tracking sees it:
 * done at the receiving end, the sender notices nothing.
 */
async function onArrival(namespace: Namespace, rules: readonly string[]): Promise<Fault> {
  lastTable += 1;
  const table = `inet fault_${lastTable}`;
  const lines = rules.map((rule) => `    iifname "${namespace.device}" ${rule}\n`).join('');
  await nft(
    namespace,
    `table ${table} {
  chain arriving {
    type filter hook prerouting priority raw; policy accept;
${lines}  }
}
`,
  );
  return { heal: () => nft(namespace, `delete table ${table}\n`) };
}

async function nft(namespace: Namespace, rules: string): Promise<void> {
  await runOk('ip', ['netns', 'exec', namespace.name, 'nft', '-f', '-'], { input: rules });
}

/** Both ends at once; heals both. */
async function both(
  network: Network,
  make: (namespace: Namespace) => Promise<Fault>,
): Promise<Fault> {
  const faults = await Promise.all([make(network.red), make(network.gray)]);
  return { heal: async () => void (await Promise.all(faults.map((fault) => fault.heal()))) };
}

/** Every packet that goes to this namespace is lost; those it sends arrive. */
export function loseTowards(namespace: Namespace): Promise<Fault> {
  return onArrival(namespace, ['drop']);
}

/**
 * As if its power were cut: from now on the machine says nothing more, not that its processes have
 * ended either, and hears nothing. Those it was in touch with see no difference in the cable.
 */
export function losePower(machine: Namespace): Promise<void> {
  return nft(
    machine,
    `table netdev power {
  chain arriving {
    type filter hook ingress device "${machine.device}" priority 0; policy drop;
  }
}
table inet power {
  chain leaving {
    type filter hook output priority raw; policy drop;
  }
}
`,
  );
}

/** Every packet between the two is lost, without a word to either. */
export function partition(network: Network): Promise<Fault> {
  return both(network, loseTowards);
}

/** Every packet to and from one address of gray is lost; gray's others are reached. */
export function loseAddress(network: Network, address: string): Promise<Fault> {
  return both(network, (namespace) =>
    onArrival(namespace, [`ip daddr ${address} drop`, `ip saddr ${address} drop`]),
  );
}

/** Packets are lost at random, each way: `percent` of them, 0 to 100. */
export function loseAtRandom(network: Network, percent: number): Promise<Fault> {
  return both(network, (namespace) =>
    onArrival(namespace, [`numgen random mod 100 < ${percent} drop`]),
  );
}

/** Packets of one connection are lost, each way, whatever becomes of its ends. */
export function loseFlow(network: Network, flow: Flow): Promise<Fault> {
  const port = (address: string): string => address.slice(address.lastIndexOf(':') + 1);
  const [one, other] = [port(flow.local), port(flow.remote)];
  return both(network, (namespace) =>
    onArrival(namespace, [
      `tcp sport ${one} tcp dport ${other} drop`,
      `tcp sport ${other} tcp dport ${one} drop`,
    ]),
  );
}

/** Whoever sends to, or from, the port gets a reset, as from a firewall that was reloaded. */
export function rejectWithReset(network: Network, port: number): Promise<Fault> {
  return both(network, async (namespace) => {
    lastTable += 1;
    const table = `inet fault_${lastTable}`;
    // A packet can be answered with a reset where it is delivered, and not before. The other end's
    // own resets have to pass.
    await nft(
      namespace,
      `table ${table} {
  chain delivered {
    type filter hook input priority filter - 10; policy accept;
    tcp flags & rst == rst accept
    iifname "${namespace.device}" tcp dport ${port} reject with tcp reset
    iifname "${namespace.device}" tcp sport ${port} reject with tcp reset
  }
}
`,
    );
    return { heal: () => nft(namespace, `delete table ${table}\n`) };
  });
}

/** Timers of a namespace's connections from or to a port, as `ss` calls them, `persist` for one. */
export async function timersOf(namespace: Namespace, port: number): Promise<string[]> {
  const finished = await runInside(namespace, 'ss', [
    ...['-tnoH', 'state', 'established'],
    `( sport = :${port} or dport = :${port} )`,
  ]);
  if (finished.code !== 0) throw new Error(`ss in ${namespace.name}: ${finished.stderr}`);
  return [...finished.stdout.matchAll(/timer:\((\w+)/g)].map(([, timer]) => timer!);
}

/** The established connections of a namespace from or to a port. */
export async function flowsOf(namespace: Namespace, port: number): Promise<Flow[]> {
  const finished = await runInside(namespace, 'ss', [
    ...['-tnH', 'state', 'established'],
    `( sport = :${port} or dport = :${port} )`,
  ]);
  if (finished.code !== 0) throw new Error(`ss in ${namespace.name}: ${finished.stderr}`);
  return finished.stdout.split('\n').flatMap((line) => {
    const [, , local, remote] = line.trim().split(/\s+/);
    return local === undefined || remote === undefined
      ? []
      : [{ local: plain(local), remote: plain(remote) }];
  });
}

/** An IPv4 address of a socket that speaks both is shown as `[::ffff:10.0.0.1]:80`. */
function plain(address: string): string {
  return address.replace(/^\[::ffff:([0-9.]+)\]/, '$1');
}

/**
 * Destroys a namespace's connections from or to a port (`ss -K`): their owner gets ECONNABORTED,
 * and the other end a reset, if one reaches it. Gives how many there were.
 * @throws when the kernel cannot do it (CONFIG_INET_DIAG_DESTROY).
 */
export async function killFlows(namespace: Namespace, port: number, flow?: Flow): Promise<number> {
  const there = await flowsOf(namespace, port);
  const finished = await runInside(namespace, 'ss', [
    ...['-tnHK', 'state', 'connected', 'exclude', 'time-wait'],
    flow === undefined
      ? `( sport = :${port} or dport = :${port} )`
      : `src ${flow.local} and dst ${flow.remote}`,
  ]);
  if (finished.code !== 0) throw new Error(`ss -K in ${namespace.name}: ${finished.stderr}`);
  const killed = finished.stdout.split('\n').filter((line) => line.trim() !== '').length;
  if (killed === 0 && there.length > 0) {
    throw new Error('ss -K destroyed nothing: does the kernel have CONFIG_INET_DIAG_DESTROY?');
  }
  return killed;
}
