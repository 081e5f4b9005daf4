import { createLink, type LinkOptions, type LinkStream } from '../../packages/link/src/index.ts';
import type { Link } from '../../packages/link/src/link/link.ts';
import type { MessageCodec } from '../../packages/link/src/streams/adapters/message-options.ts';
import { type MemoryNetwork, memoryNetwork } from '../../packages/link/src/testing/index.ts';
import type { Identity } from '../../packages/proto/src/base/identity.ts';

export const identity = (site: string): Identity => ({ fabric: 'f', site, node: `${site}1` });

/** Messages as text. */
export const TEXT: MessageCodec<string> = {
  encode: (text) => Buffer.from(text),
  decode: (bytes) => Buffer.from(bytes).toString(),
};

export const textOf = (stream: LinkStream) => stream.messages<string>({ codecs: { 1: TEXT } });

/** Answers each message with itself, and ends when the peer does. */
export async function echo(stream: LinkStream): Promise<void> {
  const messages = textOf(stream);
  for await (const text of messages) await messages.send(text);
  messages.end();
}

/** Sends a text and says what comes back. */
export async function ask(stream: LinkStream, text: string): Promise<string | undefined> {
  const messages = textOf(stream);
  await messages.send(text);
  messages.end();
  const answer = await messages.receive();
  return answer.done ? undefined : answer.value;
}

export interface MemoryLab {
  readonly network: MemoryNetwork;
  /** Listens as `gray`, and speaks `echo`. */
  readonly gray: Link;
  readonly red: Link;
  readonly at: { readonly transport: 'memory'; readonly address: string };
  close(): Promise<void>;
}

/** Two links on a network in memory, not connected yet. */
export async function memoryLab(options: Partial<LinkOptions> = {}): Promise<MemoryLab> {
  const network = memoryNetwork();
  const make = (site: string) =>
    createLink({
      ...options,
      identity: identity(site),
      transports: { memory: network.transport },
    });
  const [gray, red] = [make('gray'), make('red')];
  const at = { transport: 'memory', address: 'gray' } as const;
  await gray.listen(at);
  gray.protocol({ name: 'echo', accept: echo });
  return {
    network,
    gray,
    red,
    at,
    close: async () => {
      await Promise.all([red.close(), gray.close()]);
    },
  };
}
