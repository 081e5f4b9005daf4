import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { endianness } from 'node:os';
import { formatHostPort } from '@routy/proto/base';

/** A TCP socket of a process, as `ss -tnp` shows it. */
export interface ProcessSocket {
  readonly state: 'LISTEN' | 'ESTAB';
  /** `host:port` */
  readonly local: string;
  readonly localPort: number;
  /** `host:port`, of no meaning for a listening socket */
  readonly remote: string;
  readonly remotePort: number;
}

/** Codes of /proc/net/tcp, from the kernel's `tcp_states.h`. */
const STATES: Readonly<Record<string, ProcessSocket['state']>> = { '01': 'ESTAB', '0A': 'LISTEN' };

/** Listening and established TCP sockets of a process; undefined where there is no /proc. */
export function socketsOf(pid: number): ProcessSocket[] | undefined {
  if (process.platform !== 'linux') return undefined;
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const tables = ['tcp', 'tcp6'].flatMap((table) =>
    parseTable(textOf(`/proc/${pid}/net/${table}`)),
  );
  return tables.filter(({ inode }) => inodes.has(inode)).map(({ socket }) => socket);
}

interface Entry {
  readonly inode: string;
  readonly socket: ProcessSocket;
}

/** Entries of a table in the format of proc_net_tcp(5), those in states of interest only. */
export function parseTable(text: string): Entry[] {
  const entries: Entry[] = [];
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const state = STATES[fields[3] ?? ''];
    const local = parseEndpoint(fields[1] ?? '');
    const remote = parseEndpoint(fields[2] ?? '');
    const inode = fields[9];
    if (state === undefined || inode === undefined) continue;
    if (local === undefined || remote === undefined) continue;
    entries.push({
      inode,
      socket: {
        state,
        local: formatHostPort(local.host, local.port),
        localPort: local.port,
        remote: formatHostPort(remote.host, remote.port),
        remotePort: remote.port,
      },
    });
  }
  return entries;
}

/** `0100007F:1F90` is 127.0.0.1:8080: 32-bit words in the machine's byte order. */
function parseEndpoint(text: string): { host: string; port: number } | undefined {
  const match = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/.exec(text);
  if (match === null) return undefined;
  const words = match[1]!.match(/.{8}/g)!.map(bytesOf);
  const port = Number.parseInt(match[2]!, 16);
  if (words.length === 1) {
    return { host: words[0]!.map((byte) => Number.parseInt(byte, 16)).join('.'), port };
  }
  const groups = words.flatMap((bytes) => [bytes.slice(0, 2), bytes.slice(2)]);
  const host = groups.map((pair) => Number.parseInt(pair.join(''), 16).toString(16)).join(':');
  return { host, port };
}

function bytesOf(word: string): string[] {
  const bytes = word.match(/../g)!;
  return endianness() === 'LE' ? bytes.reverse() : bytes;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
