import type { LinkStream } from '@routy/link';
import { json } from '../shared/codec.ts';
import { childrenOf, DEPTH } from './merkle.ts';
import { type Entry, isNewer, type Store } from './store.ts';

/** From the site that compares: which hashes it wants to know, or what it has in some buckets. */
type Question =
  | { readonly childrenOf: readonly string[] }
  | { readonly buckets: readonly string[]; readonly entries: readonly Entry[] };

/** The hashes of all children, in order, or what is newer at the other site. */
type Answer = { readonly hashes: readonly string[] } | { readonly entries: readonly Entry[] };

export const CODECS = { 1: json<Question | Answer>() };

/** What it took to make two stores equal. */
export interface Report {
  readonly hashes: number;
  readonly buckets: number;
  readonly entries: number;
}

/** Nodes whose children are asked for, or buckets exchanged, in one message. */
const NODES_AT_ONCE = 64;

/**
 * Makes two stores equal: goes down the tree where hashes differ, and exchanges the buckets it comes
 * to, some at a time. Whatever ends it in the middle, what was exchanged stays, and the next time
 * begins with less to do.
 */
export async function compare(stream: LinkStream, store: Store): Promise<Report> {
  const messages = stream.messages({ codecs: CODECS });
  const ask = async (question: Question): Promise<Answer> => {
    await messages.send(question);
    const answer = await messages.receive();
    if (answer.done) throw new Error('the other site has ended');
    return answer.value as Answer;
  };
  const report = { hashes: 0, buckets: 0, entries: 0 };
  let differing = [''];
  for (let level = 0; level < DEPTH; level++) {
    const next: string[] = [];
    for (const nodes of inParts(differing)) {
      const { hashes } = (await ask({ childrenOf: nodes })) as { hashes: readonly string[] };
      const children = nodes.flatMap(childrenOf);
      report.hashes += hashes.length;
      next.push(...children.filter((child, i) => store.tree.hashOf(child) !== hashes[i]));
    }
    differing = next;
  }
  for (const buckets of inParts(differing)) {
    const ours = buckets.flatMap((bucket) => store.entriesOf(bucket));
    const { entries } = (await ask({ buckets, entries: ours })) as { entries: readonly Entry[] };
    store.merge(entries);
    report.buckets += buckets.length;
    report.entries += ours.length + entries.length;
  }
  messages.end();
  return report;
}

/** The other end, which answers. */
export async function answerComparison(stream: LinkStream, store: Store): Promise<void> {
  const messages = stream.messages({ codecs: CODECS });
  for await (const message of messages) {
    if ('childrenOf' in message) {
      const children = message.childrenOf.flatMap(childrenOf);
      await messages.send({ hashes: children.map((child) => store.tree.hashOf(child)) });
    } else if ('buckets' in message) {
      const theirs = new Map(message.entries.map((entry) => [entry.key, entry]));
      const ours = message.buckets.flatMap((bucket) => store.entriesOf(bucket));
      // On the disk before the answer says that the buckets are done.
      store.merge(message.entries);
      await messages.send({
        entries: ours.filter((entry) => isNewer(entry, theirs.get(entry.key))),
      });
    }
  }
  messages.end();
}

function inParts(names: readonly string[]): string[][] {
  const count = Math.ceil(names.length / NODES_AT_ONCE);
  return Array.from({ length: count }, (_, i) =>
    names.slice(i * NODES_AT_ONCE, (i + 1) * NODES_AT_ONCE),
  );
}
