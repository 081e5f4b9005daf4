import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { dropNewInbound, droppedPackets, stopSwallowing, swallowArriving } from './nft.ts';
import { type Finished, type RunOptions, run, runOk } from '../process.ts';

/** One network namespace: a machine of its own, as far as the network is concerned. */
export interface Namespace {
  readonly name: string;
  /** Its end of the cable to the other namespace. */
  readonly device: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Two machines joined by a cable: `red` inside, behind a firewall, and `gray` in the DMZ. */
export interface Network {
  readonly red: Namespace;
  readonly gray: Namespace;
}

/** The command line that runs `command` inside a namespace; the process keeps its pid. */
export function inside(
  namespace: Namespace,
  command: string,
  args: readonly string[],
): { command: string; args: string[] } {
  return { command: 'ip', args: ['netns', 'exec', namespace.name, command, ...args] };
}

export function runInside(
  namespace: Namespace,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return run('ip', inside(namespace, command, args).args, options);
}

const existing = new Set<string>();

process.on('exit', () => {
  for (const name of existing) spawnSync('ip', ['netns', 'del', name]);
});
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  // Ending by process.exit runs the exit handlers, which a signal's default would not.
  process.on(signal, () => process.exit(code));
}

async function addNamespace(namespace: Namespace): Promise<void> {
  await runOk('ip', ['netns', 'add', namespace.name]);
  existing.add(namespace.name);
}

async function bringUp(namespace: Namespace): Promise<void> {
  const ip = (...args: string[]): Promise<string> => runOk('ip', ['-n', namespace.name, ...args]);
  await ip('link', 'set', 'lo', 'up');
  await ip('addr', 'add', `${namespace.ipv4}/24`, 'dev', namespace.device);
  // Without duplicate address detection the address can be used at once.
  await ip('addr', 'add', `${namespace.ipv6}/64`, 'dev', namespace.device, 'nodad');
  await ip('link', 'set', namespace.device, 'up');
  // Tens of thousands of short connections leave as many ports in TIME_WAIT.
  const widen = runInside(namespace, 'sysctl', ['-qw', 'net.ipv4.ip_local_port_range=16384 65535']);
  const widened = await widen;
  if (widened.code !== 0) throw new Error(`sysctl in ${namespace.name}: ${widened.stderr}`);
}

/** Lays the cable between two namespaces. */
async function join(one: Namespace, other: Namespace): Promise<void> {
  await runOk('ip', [
    ...['link', 'add', one.device, 'netns', one.name, 'type', 'veth'],
    ...['peer', 'name', other.device, 'netns', other.name],
  ]);
  await bringUp(one);
  await bringUp(other);
}

function newTag(): string {
  return `${process.pid}-${randomBytes(3).toString('hex')}`;
}

/** Makes the two namespaces. Names carry this process's pid, so parallel runs do not collide. */
export async function createNetwork(options: { firewall: boolean }): Promise<Network> {
  const tag = newTag();
  const red = { name: `red-${tag}`, device: 'veth0', ipv4: '10.77.0.1', ipv6: 'fd77::1' };
  const gray = { name: `gray-${tag}`, device: 'veth0', ipv4: '10.77.0.2', ipv6: 'fd77::2' };
  await addNamespace(red);
  await addNamespace(gray);
  await join(red, gray);
  if (options.firewall) await dropNewInbound(red);
  return { red, gray };
}

/**
 * Makes one more machine, on a cable of its own to `neighbour`, which is `neighbourIpv4` to it.
 * Numbers from 1 on, each once in a network.
 */
export async function addMachine(
  neighbour: Namespace,
  number: number,
): Promise<{ machine: Namespace; neighbourIpv4: string }> {
  const [name, device] = [`beside-${newTag()}`, 'veth0'];
  const machine = { name, device, ipv4: `10.77.${number}.1`, ipv6: `fd77:${number}::1` };
  const near = {
    name: neighbour.name,
    device: `veth${number}`,
    ipv4: `10.77.${number}.2`,
    ipv6: `fd77:${number}::2`,
  };
  await addNamespace(machine);
  await join(machine, near);
  return { machine, neighbourIpv4: near.ipv4 };
}

export async function removeNetwork(network: Network): Promise<void> {
  await removeMachine(network.red);
  await removeMachine(network.gray);
}

export async function removeMachine({ name }: Namespace): Promise<void> {
  if (existing.delete(name)) await runOk('ip', ['netns', 'del', name]);
}

/** Removes namespaces whose test process was killed before it could. Gives their names. */
export async function removeOrphans(): Promise<string[]> {
  const removed: string[] = [];
  for (const line of (await runOk('ip', ['netns', 'list'])).split('\n')) {
    const match = /^((?:red|gray|beside)-(\d+)-[0-9a-f]{6})\b/.exec(line);
    if (match === null || isAlive(Number(match[2]))) continue;
    await runOk('ip', ['netns', 'del', match[1]!]);
    removed.push(match[1]!);
  }
  return removed;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Tries a TCP connection with socat. True when it was made within `timeoutSeconds`. */
export async function canConnect(
  from: Namespace,
  host: string,
  port: number,
  timeoutSeconds = 1,
): Promise<boolean> {
  const address = `TCP:${host.includes(':') ? `[${host}]` : host}:${port},connect-timeout=${timeoutSeconds}`;
  return (await runInside(from, 'socat', ['-u', '/dev/null', address])).code === 0;
}

/**
 * Shows that gray cannot open a connection to a port that something in red listens on: red itself
 * reaches it, gray does not, and the firewall has counted the attempt.
 */
export async function assertBlocked(network: Network, port: number): Promise<void> {
  for (const host of [network.red.ipv4, network.red.ipv6]) {
    if (!(await canConnect(network.red, host, port))) {
      throw new Error(`nothing listens on ${host} port ${port} in ${network.red.name}`);
    }
    const before = await droppedPackets(network.red);
    if (await canConnect(network.gray, host, port)) {
      throw new Error(`the firewall let gray connect to ${host} port ${port}`);
    }
    if ((await droppedPackets(network.red)) <= before) {
      throw new Error(`gray's attempt at ${host} port ${port} never reached the firewall`);
    }
  }
}

/** Limits what a namespace sends over the cable: the link, and not the machine, sets the speed. */
export async function limitSending(namespace: Namespace, mbitPerSecond: number): Promise<void> {
  await runOk('tc', [
    ...['-n', namespace.name, 'qdisc', 'add', 'dev', namespace.device, 'root', 'tbf'],
    ...['rate', `${mbitPerSecond}mbit`, 'burst', '512kb', 'latency', '20ms'],
  ]);
}

/** From now on every packet between the two is lost, without a word to either. */
export async function blackholeOn(network: Network): Promise<void> {
  await Promise.all([swallowArriving(network.red), swallowArriving(network.gray)]);
}

export async function blackholeOff(network: Network): Promise<void> {
  await Promise.all([stopSwallowing(network.red), stopSwallowing(network.gray)]);
}
