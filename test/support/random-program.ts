import assert from 'node:assert/strict';
import { createLink, type LinkStream, type Peer } from '../../packages/link/src/index.ts';
import type { Link } from '../../packages/link/src/link/link.ts';
import type { StreamRequest } from '../../packages/link/src/link/session/stream-request.ts';
import type { ClassSnapshot, Counters } from '../../packages/link/src/stats/index.ts';
import type { AsyncByteStream } from '../../packages/link/src/streams/adapters/async-byte-stream.ts';
import type { MessageStream } from '../../packages/link/src/streams/adapters/message-stream.ts';
import type { StreamDuplex } from '../../packages/link/src/streams/adapters/stream-duplex.ts';
import { type MemoryNetwork, memoryNetwork } from '../../packages/link/src/testing/index.ts';
import { RoutyError } from '../../packages/proto/src/base/index.ts';
import { Random } from '../sim/random.ts';
import { identity, TEXT } from './link-lab.ts';

const SITES = ['red', 'gray', 'blue'];
const SIZES = [1, 10, 1_000, 70_000, 300_000];
const RESETS = ['cancelled', 'overload', 'connection-reset'] as const;
const DEFECTS = ['internal', 'protocol-error', 'overload'];
const PEERS_MAX = 8;

/** What a stream is used as. */
type Form =
  | { readonly kind: 'bytes'; readonly stream: AsyncByteStream }
  | { readonly kind: 'messages'; readonly stream: MessageStream<string> }
  | { readonly kind: 'duplex'; readonly stream: StreamDuplex };

/** Three links on a network in memory, and whatever a program may do with them, by chance. */
export class RandomProgram {
  readonly random: Random;
  /** What has failed in a way that no program expects. */
  readonly surprises: unknown[] = [];
  readonly #network: MemoryNetwork = memoryNetwork();
  readonly #links: readonly Link[];
  readonly #waiting = new Map<symbol, string>();
  readonly #dialled: Peer[] = [];
  readonly #streams: LinkStream[] = [];
  readonly #forms = new Map<LinkStream, Form>();
  readonly #owners: AbortController[] = [];
  readonly #sums = new Map<string, ClassSnapshot>();
  readonly #acts: readonly (() => void)[];

  private constructor(seed: number) {
    this.random = new Random(seed);
    this.#links = SITES.map((site) =>
      createLink({
        identity: identity(site),
        transports: { memory: this.#network.transport },
        times: { heartbeatIntervalMs: 1000, resumeTimeMs: 3000 },
      }),
    );
    this.#acts = [
      ...Array<() => void>(6).fill(() => this.#send()),
      ...Array<() => void>(4).fill(() => this.#ask('open')),
      ...Array<() => void>(3).fill(() => this.#ask('request')),
      ...Array<() => void>(3).fill(() => this.#become()),
      ...Array<() => void>(3).fill(() => this.#dial()),
      ...Array<() => void>(3).fill(() => void this.#form()?.stream.end()),
      () => this.#pick(this.#streams)?.reset(this.random.pick(RESETS)),
      () => this.#converse(),
      () => this.#own(),
      () => this.#wait('ping', this.#peer()?.ping(this.#owner())),
      () => this.#wait('peer', this.#link.peer(`${this.#site}/${this.#site}1`, this.#owner())),
      () => this.#peer()?.close(),
      () => this.#owners.splice(0, 1)[0]?.abort(),
      () => this.#network.cut(),
      () => this.#goDown(),
    ];
  }

  static async start(seed: number): Promise<RandomProgram> {
    const program = new RandomProgram(seed);
    for (const [index, link] of program.#links.entries()) {
      await link.listen({ transport: 'memory', address: SITES[index]! });
      link.on('acceptFailed', () => undefined);
      link.on('peer', (peer) => program.#follow(peer));
      for (const name of ['x', 'y']) link.protocol(program.#protocol(name, [1, 2]));
      link.locate('site', (site) => program.#located(site));
    }
    return program;
  }

  /** One thing, whichever it is. */
  step(): void {
    this.#expectRefusal(() => this.random.pick(this.#acts)());
  }

  /** What is waited for and not over. */
  get waiting(): string[] {
    return [...this.#waiting.values()];
  }

  /** What the links have not let go of. */
  get left(): string[] {
    return this.#links.flatMap((link) => [
      ...link.peers.map(({ name }) => `peer ${name}`),
      ...link.statistics.snapshot().meters.map(({ kind, name }) => `${kind} ${name}`),
    ]);
  }

  /** Since it was asked last no count has fallen, and those that live are those that are shown. */
  countsOnlyGrow(): void {
    for (const [index, link] of this.#links.entries()) {
      const { classes, meters } = link.statistics.snapshot();
      for (const sum of classes) {
        const what = `${SITES[index]} ${sum.kind} ${sum.class}`;
        const before = this.#sums.get(what);
        this.#sums.set(what, sum);
        for (const name of Object.keys(sum.counters) as (keyof Counters)[])
          assert.ok(sum.counters[name] >= (before?.counters[name] ?? 0), `${what} ${name} fell`);
        assert.ok(sum.begun >= (before?.begun ?? 0), `${what} begun fell`);
        const living = meters.filter((each) => each.kind === sum.kind && each.class === sum.class);
        assert.equal(sum.live, living.length, `${what} live`);
      }
    }
  }

  /** The links go first, and with them what waits; then those who own what they were given. */
  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
    for (const owner of this.#owners) owner.abort();
  }

  get #link(): Link {
    return this.random.pick(this.#links);
  }

  get #site(): string {
    return this.random.pick(SITES);
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : this.random.pick(items);
  }

  #peer(): Peer | undefined {
    return this.#pick([...this.#dialled, ...this.#links.flatMap(({ peers }) => peers)]);
  }

  /** One that is there, a new one, or nobody. */
  #owner(): { readonly signal?: AbortSignal } {
    if (this.random.chance(0.3)) this.#owners.push(new AbortController());
    const owner = this.#pick(this.#owners);
    return owner === undefined || this.random.chance(0.5) ? {} : { signal: owner.signal };
  }

  #request(): StreamRequest {
    const versions = this.random.pick([[1], [2], [1, 2], [3]]);
    return { protocol: this.random.pick(['x', 'y', 'z']), versions };
  }

  #protocol(name: string, versions: number[]) {
    const use = (stream: LinkStream) => this.#use(stream);
    return { name, versions, accept: use, reply: use };
  }

  #located(site: string | number) {
    if (this.random.chance(0.1)) throw new Error('no map');
    const address = this.random.chance(0.1) ? '' : String(site);
    return [{ transport: 'memory', address }];
  }

  #dial(): void {
    if (this.#dialled.filter(({ state }) => state !== 'closed').length >= PEERS_MAX) return;
    const site = this.#site;
    const where = this.random.chance(0.5) ? { site } : { transport: 'memory', address: site };
    const how = { lanes: this.random.int(1, 2), ...this.#owner() };
    const peer = this.#link.dial(where, how);
    this.#follow(peer);
    this.#dialled.push(peer);
  }

  #ask(how: 'open' | 'request'): void {
    const asked = this.#peer()?.[how](this.#request(), this.#owner());
    this.#wait(
      how,
      asked?.then((stream) => this.#use(stream)),
    );
  }

  #become(): void {
    const next = this.#pick(this.#streams)?.become(this.#request(), this.#owner());
    this.#wait(
      'become',
      next?.then((stream) => this.#use(stream)),
    );
  }

  #converse(): void {
    const whom = this.random.chance(0.5) ? 'gray/gray1' : this.#peer();
    if (whom === undefined) return;
    let left = 50;
    const behaviour = { next: async () => (left-- > 0 ? 'said' : undefined) };
    const codecs = { 1: TEXT, 2: TEXT };
    const options = { protocol: 'x', codecs, behaviour, ...this.#owner() };
    this.#wait('conversation', this.#links[2]!.converse<string>(whom, options).ended);
  }

  /** An owner comes with a protocol and a locator of its own. */
  #own(): void {
    const owner = this.#owner();
    this.#link.protocol(this.#protocol(this.random.pick(['x', 'z']), [1]), owner);
    this.#link.locate('site', (site) => this.#located(site), owner);
  }

  #goDown(): void {
    this.#network.setDown(true);
    setTimeout(() => this.#network.setDown(false), this.random.int(0, 100));
  }

  #form(): Form | undefined {
    const stream = this.#pick(this.#streams);
    return stream === undefined ? undefined : this.#forms.get(stream);
  }

  #send(): void {
    const form = this.#form();
    const size = this.random.pick(SIZES);
    if (form?.kind === 'messages') this.#wait('send', form.stream.send('x'.repeat(size)));
    else if (form?.kind === 'bytes') this.#wait('write', form.stream.write(Buffer.alloc(size)));
    else if (form?.stream.writable === true) form.stream.write(Buffer.alloc(size));
  }

  /** As an echo that may break off, or not at all. */
  #use(stream: LinkStream): void {
    this.#streams.push(stream);
    const kind = this.random.pick(['bytes', 'messages', 'messages', 'duplex', 'nothing'] as const);
    if (kind === 'bytes') {
      const bytes = stream.bytes();
      this.#forms.set(stream, { kind, stream: bytes });
      this.#wait(
        'echo of bytes',
        this.#echo(bytes, (chunk) => bytes.write(chunk)),
      );
    } else if (kind === 'messages') {
      const messages = stream.messages<string>({ codecs: { [stream.version]: TEXT } });
      this.#forms.set(stream, { kind, stream: messages });
      this.#wait(
        'echo',
        this.#echo(messages, (text) => messages.send(text)),
      );
    } else if (kind === 'duplex') {
      const duplex = stream.duplex().on('error', () => undefined);
      this.#forms.set(stream, { kind, stream: duplex });
      duplex.pipe(duplex);
    }
  }

  async #echo<T>(
    stream: AsyncIterable<T> & { end(): void },
    answer: (what: T) => Promise<void>,
  ): Promise<void> {
    for await (const what of stream) {
      if (this.random.chance(0.03)) return;
      await answer(what);
    }
    stream.end();
  }

  #wait(what: string, promise: Promise<unknown> | undefined): void {
    if (promise === undefined) return;
    const key = Symbol(what);
    this.#waiting.set(key, what);
    promise.catch((error: unknown) => this.#expect(error)).finally(() => this.#waiting.delete(key));
  }

  #expectRefusal(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#expect(error);
    }
  }

  /** No session ends by a defect. */
  #follow(peer: Peer): void {
    peer.on('down', (failure) => {
      if (DEFECTS.includes(failure.code)) this.surprises.push(failure);
    });
  }

  /** Links fail with errors of theirs alone. */
  #expect(error: unknown): void {
    if (!(error instanceof RoutyError)) this.surprises.push(error);
  }
}
