import { fstatSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import {
  createLink,
  type Link,
  type Peer,
  type RoutyError,
  type TransportAddress,
} from '@routy/link';

const OPTIONS = `
  --site NAME         who this is: the node NAME/NAME1
  --data DIR          what it keeps
  --listen HOST:PORT  lets others dial it
  --dial HOST:PORT    dials another; any number of times
  --peer SITE         has to do with that site, whoever of the two dials; any number of times
  --credentials DIR   TLS, with NAME.crt, NAME.key and ca.crt of DIR; without it everything is
                      plain TCP, which is for trying it out on one machine
`;

/** What all examples have: a link, a place for data, and lines that people type. */
export interface ExampleNode {
  readonly link: Link;
  readonly site: string;
  readonly data: string;
  /** The sites it was told of, as names of nodes. */
  readonly peers: readonly string[];
  readonly lines: AsyncIterable<string>;
  /** Fires when the program is to end: by SIGINT, by SIGTERM, or with its input. */
  readonly signal: AbortSignal;
}

/** A node as its arguments say, dialling and listening. Ends the program on `--help` and mistakes. */
export async function startNode(usage: string): Promise<ExampleNode> {
  const given = readArguments(usage);
  try {
    return await begin(given);
  } catch (error) {
    console.error(textOfFailure(error));
    process.exit(1);
  }
}

async function begin({
  site,
  data,
  listen,
  dial,
  peer,
  credentials,
}: ReturnType<typeof readArguments>): Promise<ExampleNode> {
  mkdirSync(data, { recursive: true });
  const identity = { fabric: 'demo', site, node: `${site}1` };
  const times = { heartbeatIntervalMs: 1000, heartbeatMisses: 3, resumeTimeMs: 10_000 };
  const link =
    credentials === undefined
      ? createLink({ identity, times })
      : createLink({ credentials: readCredentials(credentials, identity), times });
  const transport = credentials === undefined ? 'tcp' : 'tls';
  const insecure = credentials === undefined;

  for (const each of dial) follow(link.dial({ transport, address: addressOf(each) }, { insecure }));
  if (listen !== undefined) {
    const { address } = await link.listen({ transport, address: addressOf(listen), insecure });
    console.log(`listening on ${textOf(address)}`);
  }
  const sayRefused = once();
  link.on('refused', ({ remoteAddress, reason }) => {
    const [host] = remoteAddress.split(/:\d+$/);
    sayRefused(`turned away ${host}: ${reason}`);
  });
  link.on('acceptFailed', (error, protocol) => console.log(`${protocol} failed: ${error}`));
  const stop = new AbortController();
  const end = () => {
    if (stop.signal.aborted) return;
    stop.abort();
    void link.close().then(() => process.exit(0));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  const lines = createInterface({ input: process.stdin });
  // Who would type has gone: a terminal, or the program that began this one, and was killed.
  if (hasInput()) lines.once('close', end);
  return {
    ...{ link, site, data, signal: stop.signal },
    peers: peer.map((name) => `${name}/${name}1`),
    lines,
  };
}

/** A service has none: what it reads of /dev/null ends at once, and nobody has gone. */
function hasInput(): boolean {
  return process.stdin.isTTY || !fstatSync(0).isCharacterDevice();
}

/** Says whom it has reached, and why not. */
function follow(peer: Peer): void {
  const say = once();
  peer.on('up', () => say(`connected to ${peer.name}`));
  peer.on('attempt', (failure) => say(`not connected: ${textOfFailure(failure)}`));
}

/** Says what is not as before. */
function once(): (text: string) => void {
  let said: string | undefined;
  return (text) => {
    if (text !== said) console.log(text);
    said = text;
  };
}

/** What is wrong, and what to do about it where that is known. */
function textOfFailure(error: unknown): string {
  const { message, hint } = error as RoutyError;
  return hint === undefined ? message : `${message} (${hint})`;
}

function readArguments(usage: string) {
  const text = { type: 'string' } as const;
  const texts = { type: 'string', multiple: true } as const;
  const options = {
    ...{ site: text, data: text, listen: text, credentials: text, dial: texts, peer: texts },
    help: { type: 'boolean' },
  } as const;
  try {
    const { values } = parseArgs({ options });
    const { site, data, listen, credentials, dial = [], peer = [], help } = values;
    if (help) {
      console.log(`${usage}\n${OPTIONS}`);
      process.exit(0);
    }
    if (site === undefined || data === undefined) throw new Error('--site and --data are needed');
    return { site, data, listen, credentials, dial, peer };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}\n${OPTIONS}`);
    process.exit(2);
  }
}

function readCredentials(
  directory: string,
  identity: { readonly fabric: string; readonly site: string; readonly node: string },
) {
  const pem = (name: string) => readFileSync(join(directory, name), 'utf8');
  return {
    identity,
    certChainPem: pem(`${identity.site}.crt`),
    keyPem: pem(`${identity.site}.key`),
    caPem: pem('ca.crt'),
  };
}

function addressOf(text: string) {
  const [, host, port] = /^\[?([^\]]+)\]?:(\d+)$/.exec(text) ?? [];
  if (host === undefined) throw new Error(`${text} is not HOST:PORT`);
  return { kind: 'tcp' as const, host, port: Number(port) };
}

function textOf(address: TransportAddress): string {
  if (typeof address === 'string') return address;
  return address.kind === 'tcp' ? `${address.host}:${address.port}` : address.path;
}
