import type { LinkStream } from '@routy/link';
import { json } from '../shared/codec.ts';
import { type Entry, isNewer, type Stamp } from './entry.ts';
import { type Description, partsOf } from './merkle.ts';
import type { Store } from './store.ts';

/** From the site that compares: what is in some parts of the tree; some entries, please; take these. */
type Question =
  | { readonly describe: readonly string[] }
  | { readonly fetch: readonly string[] }
  | { readonly store: readonly Entry[] };

/** One for each question; of the entries that were asked for as many as fit, from the first on. */
type Answer =
  | { readonly described: readonly Description[] }
  | { readonly entries: readonly Entry[] }
  | { readonly stored: number };

const FORM = { codecs: { 1: json<Question | Answer>() }, maxBytes: 16 * 1024 * 1024 };

/** Parts of the tree in one question. */
const PARTS_AT_ONCE = 512;
/** Entries of one message, all together, if it is not a single one. */
const CHARACTERS_AT_ONCE = 64 * 1024;

/** What it took to make two stores equal. */
export interface Report {
  readonly hashes: number;
  /** Without their values. */
  readonly keys: number;
  readonly sent: number;
  readonly received: number;
}

/**
 * Makes two stores equal: goes down the trees where hashes differ, and wherever it comes to keys takes
 * and gives what is newer, before it goes on. Whatever ends it in the middle, what was exchanged is on
 * the disks, and the next time there is less to do.
 */
export async function compare(stream: LinkStream, store: Store): Promise<Report> {
  const other = new OtherStore(stream);
  const report = { hashes: 0, keys: 0, sent: 0, received: 0 };
  const differing = [''];
  while (differing.length > 0) {
    // The last first: few wait then, however many differ.
    const names = differing.splice(-PARTS_AT_ONCE);
    const ours: (readonly Stamp[])[] = [];
    const theirs: (readonly Stamp[])[] = [];
    for (const [i, description] of (await other.describe(names)).entries()) {
      const name = names[i]!;
      if ('hashes' in description) {
        report.hashes += description.hashes.length;
        differing.push(...partsThatDiffer(store, name, description.hashes));
      } else {
        ours.push(store.tree.stampsOf(name));
        theirs.push(description.stamps);
      }
    }
    const listed = theirs.flat();
    report.keys += listed.length;
    report.received += await takeNewer(listed, store, other);
    report.sent += await giveNewer(ours.flat(), listed, store, other);
  }
  other.end();
  return report;
}

/** The other end, which answers. */
export async function answerComparison(stream: LinkStream, store: Store): Promise<void> {
  const messages = stream.messages(FORM);
  for await (const message of messages) {
    if ('describe' in message) {
      await messages.send({ described: message.describe.map((name) => store.tree.describe(name)) });
    } else if ('fetch' in message) {
      const [entries = []] = inMessages(entriesOf(message.fetch, store));
      await messages.send({ entries });
    } else if ('store' in message) {
      store.merge(message.store);
      // On the disk: the comparing site may forget that they differed.
      await messages.send({ stored: message.store.length });
    }
  }
  messages.end();
}

/** The store at the other end of a stream. */
class OtherStore {
  readonly #messages;

  constructor(stream: LinkStream) {
    this.#messages = stream.messages(FORM);
  }

  async describe(names: readonly string[]): Promise<readonly Description[]> {
    const answer = await this.#ask({ describe: names });
    if ('described' in answer && answer.described.length === names.length) return answer.described;
    throw new Error('the other site has not described what it was asked for');
  }

  async fetch(keys: readonly string[]): Promise<readonly Entry[]> {
    const answer = await this.#ask({ fetch: keys });
    if ('entries' in answer && answer.entries.length > 0) return answer.entries;
    throw new Error('the other site has sent no entries');
  }

  async store(entries: readonly Entry[]): Promise<void> {
    const answer = await this.#ask({ store: entries });
    if (!('stored' in answer)) throw new Error('the other site has not stored what was sent');
  }

  end(): void {
    this.#messages.end();
  }

  async #ask(question: Question): Promise<Answer> {
    await this.#messages.send(question);
    const answer = await this.#messages.receive();
    if (answer.done) throw new Error('the other site has ended');
    return answer.value as Answer;
  }
}

function partsThatDiffer(store: Store, name: string, hashes: readonly string[]): string[] {
  return partsOf(name).filter((part, i) => store.tree.hashOf(part) !== hashes[i]);
}

async function takeNewer(
  theirs: readonly Stamp[],
  store: Store,
  other: OtherStore,
): Promise<number> {
  const newer = theirs.filter((stamp) => isNewer(stamp, store.stampOf(stamp.key)));
  for (let taken = 0; taken < newer.length; ) {
    const entries = await other.fetch(newer.slice(taken).map(({ key }) => key));
    store.merge(entries);
    taken += entries.length;
  }
  return newer.length;
}

async function giveNewer(
  ours: readonly Stamp[],
  theirs: readonly Stamp[],
  store: Store,
  other: OtherStore,
): Promise<number> {
  const known = new Map(theirs.map((stamp) => [stamp.key, stamp]));
  const newer = ours.filter((stamp) => isNewer(stamp, known.get(stamp.key)));
  const keys = newer.map(({ key }) => key);
  for (const entries of inMessages(entriesOf(keys, store))) await other.store(entries);
  return newer.length;
}

function* entriesOf(keys: readonly string[], store: Store): Generator<Entry> {
  for (const key of keys) {
    const entry = store.get(key);
    if (entry === undefined) throw new Error(`there is no ${key} here`);
    yield entry;
  }
}

/** As many of them at once as are good for one message. */
function* inMessages(entries: Iterable<Entry>): Generator<Entry[]> {
  let some: Entry[] = [];
  let characters = 0;
  for (const entry of entries) {
    const more = entry.key.length + entry.value.length;
    if (some.length > 0 && characters + more > CHARACTERS_AT_ONCE) {
      yield some;
      some = [];
      characters = 0;
    }
    some.push(entry);
    characters += more;
  }
  if (some.length > 0) yield some;
}
