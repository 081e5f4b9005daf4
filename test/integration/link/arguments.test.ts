import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createLink, type LinkStream, type Peer } from '../../../packages/link/src/index.ts';
import { identity, type MemoryLab, memoryLab, TEXT } from '../../support/link-lab.ts';

/** What plain JavaScript may give in place of anything. */
const GARBAGE: readonly unknown[] = [null, -1, Number.NaN, '', Symbol('s'), [], () => 1, { x: 1 }];

/** A call as plain JavaScript makes it. */
// biome-ignore lint/suspicious/noExplicitAny: nothing here has the type that it should have.
type Untyped = any;

/** It says what is wrong and what to do, at the call. */
async function refused(what: string, call: () => unknown, code = /^argument-invalid$/) {
  const outcome = await Promise.resolve()
    .then(call)
    .then(
      () => assert.fail(`${what} was taken`),
      (error: { code?: string; hint?: string; message: string }) => error,
    );
  assert.match(outcome.code ?? outcome.message, code, what);
  assert.ok(outcome.hint !== undefined, `${what}: ${outcome.message} says what to do`);
}

const LOOPBACK = { kind: 'tcp', host: '127.0.0.1', port: 7443 };

const shown = (given: unknown) =>
  given === undefined ? 'undefined' : String(JSON.stringify(given));

/** Each key of the options with each kind of garbage that it cannot mean. */
async function refusesEach(
  what: string,
  keys: Readonly<Record<string, (given: unknown) => boolean>>,
  call: (key: string, given: unknown) => unknown,
  code?: RegExp,
) {
  for (const [key, isMeant] of Object.entries(keys)) {
    for (const given of GARBAGE) {
      if (isMeant(given)) continue;
      await refused(`${what} ${key} ${shown(given)}`, () => call(key, given), code);
    }
  }
}

const never = () => false;
const list = (given: unknown) => Array.isArray(given);
const fn = (given: unknown) => typeof given === 'function';

describe('what cannot be meant is refused at the call', { timeout: 60_000 }, () => {
  let lab: MemoryLab;
  let peer: Peer;
  const red = () => lab.red as Untyped;
  const open = (): Promise<LinkStream> => peer.open({ protocol: 'idle' });

  before(async () => {
    lab = await memoryLab();
    lab.gray.protocol({ name: 'idle', accept: () => undefined, reply: () => undefined });
    peer = await lab.red.dial(lab.at).ready();
  });
  after(() => lab.close());

  test('of createLink', async () => {
    const make = (options: Untyped) => () => createLink({ identity: identity('red'), ...options });
    const code = /^(argument|credentials)-invalid$/;
    for (const given of [undefined, ...GARBAGE]) {
      await refused(`createLink ${shown(given)}`, () => createLink(given as never), code);
    }
    const keys = {
      ...{ credentials: never, identity: never, transports: never, times: never, limits: never },
      ...{ settings: never, capabilities: list, software: (given: unknown) => given === '' },
      ...{ locators: never, dialling: never },
    };
    await refusesEach('createLink', keys, (key, given) => make({ [key]: given })(), code);
    const wrong = [
      { idenity: identity('red') },
      { settings: { a: 5 } },
      { settings: { heartbeat_misses: '9' } },
      { settings: { a: 'x'.repeat(257) } },
      { settings: Object.fromEntries(Array.from({ length: 62 }, (_, i) => [`k${i}`, ''])) },
      { capabilities: [5] },
      { capabilities: Array.from({ length: 65 }, () => 'x') },
      { software: 'x'.repeat(101) },
      { software: 'a\nb' },
      { locators: { returnMs: Number.NaN } },
      { locators: { timeoutMs: 2 ** 31 } },
      { dialling: { nat: [null] } },
      { dialling: { attemptDelayMs: '250' } },
      { transports: { memory: {} } },
      { transports: { memory: () => undefined } },
    ];
    for (const options of wrong) await refused(JSON.stringify(options), make(options));
    const pem = { certChainPem: 'x', keyPem: 'x', caPem: 'x' };
    for (const credentials of [{}, pem, { ...pem, identity: identity('red') }, async () => pem]) {
      await refused('credentials', make({ credentials }), /^credentials-invalid$/);
    }
    const nat = [{ inside: '10.0.0.1', outside: '10.0.0.2', peer: 'a/b/c' }];
    await refused('a peer of NAT', make({ dialling: { nat } }), /^nat-map-invalid$/);
  });

  test('of listen and dial', async () => {
    const name = /^(argument|locate-name)-invalid$/;
    for (const given of [undefined, ...GARBAGE]) {
      await refused(`listen ${shown(given)}`, () => red().listen(given));
      if ((given as { x?: 1 })?.x === 1) continue;
      await refused(`dial ${shown(given)}`, () => red().dial(given), name);
      for (const transport of ['tcp', 'unix']) {
        const listen = () => red().listen({ transport, insecure: true, address: given });
        await refused(`${transport} at ${shown(given)}`, listen, /^address-invalid$/);
      }
    }
    const addresses = [
      ['tcp', { kind: 'tcp', host: '127.0.0.1', port: 65_536 }],
      ['tcp', { kind: 'tcp', host: 5, port: 0 }],
      ['unix', { kind: 'unix' }],
      ['unix', { kind: 'unix', path: 'relative' }],
      ['unix', { kind: 'unix', path: `/${'x'.repeat(107)}` }],
      ['unix', { kind: 'unix', path: '/tmp/a\0b' }],
    ] as const;
    for (const [transport, address] of addresses) {
      const listen = () => red().listen({ transport, insecure: true, address });
      await refused(JSON.stringify(address), listen, /^address-invalid$/);
    }
    const unfit: readonly (readonly [string, Untyped])[] = [
      ['transport-unknown', { transport: 'pigeon', address: 'roof' }],
      ['insecure-not-allowed', { transport: 'tcp', address: LOOPBACK }],
      ['address-invalid', { transport: 'unix', address: LOOPBACK }],
      ['address-invalid', { transport: 'unix', address: '/run/app/link' }],
    ];
    for (const [code, candidate] of unfit) {
      const told = new RegExp(`^${code}$`);
      await refused(`dial ${shown(candidate)}`, () => red().dial(candidate), told);
      await refused('all of them', () => red().dial([candidate, candidate]), told);
      red().dial([candidate, lab.at]).close();
    }
    const plain = { transport: 'tcp', address: '127.0.0.1:7443' };
    const insecurely = () => red().dial(plain, { insecure: true });
    await refused('an address as text', insecurely, /^address-invalid$/);
    await refused('a long path', () => red().dial({ transport: 'unix', address: addresses[4][1] }));
    // @ts-expect-error To the compiler it is no logical name either.
    await refused('a flat address', () => lab.red.dial({ transport: 'tls', host: 'x', port: 1 }));
    await refused('a misspelt peer', () => red().dial({ ...lab.at, per: 'gray' }));
    const keys = { lanes: never, insecure: never, signal: never, lane: never };
    await refusesEach('dial', keys, (key, given) => red().dial(lab.at, { [key]: given }));
  });

  test('of protocols, locators and names', async () => {
    for (const given of [undefined, ...GARBAGE]) {
      await refused(`protocol ${shown(given)}`, () => red().protocol(given));
      await refused(`locator ${shown(given)}`, () => red().locate('k', fn(given) ? 1 : given));
      await refused(`peer ${shown(given)}`, () => red().peer(given));
    }
    await refused('a site', () => lab.red.peer('gray'));
    const accept = () => undefined;
    const keys = {
      ...{ name: never, versions: never, capabilities: list, class: never, accept: fn, reply: fn },
      ...{ version: never },
    };
    const register = (key: string, given: unknown) =>
      red().protocol({ name: 'mine', accept, [key]: given });
    await refusesEach('protocol', keys, register);
    await refused("the link's own", () => lab.red.protocol({ name: 'link-call', accept }));
    for (const call of ['listen', 'dial', 'peer', 'protocol', 'drain', 'close'] as const) {
      const first: Untyped = { listen: lab.at, dial: lab.at, peer: 'a/b' };
      first.protocol = { name: 'mine', accept };
      const withOptions = (options: unknown) =>
        red()[call](...(call in first ? [first[call]] : []), options);
      for (const signal of [5, {}, 'now'])
        await refused(`${call} with ${shown(signal)}`, () => withOptions({ signal }));
      await refused(`${call} with a signal itself`, () => withOptions(AbortSignal.abort()));
    }
  });

  test('of open, request and converse', async () => {
    const keys = {
      ...{
        protocol: never,
        versions: never,
        capabilities: list,
        service: (g: unknown) => g === '',
      },
      ...{ class: never, answerMs: never, sevice: never },
    };
    for (const ask of ['open', 'request'] as const) {
      const asked = (key: string, given: unknown) =>
        (peer as Untyped)[ask]({ protocol: 'idle', [key]: given });
      await refusesEach(ask, keys, asked);
      await refused(`${ask} nothing`, () => (peer as Untyped)[ask]());
      await refused(`${ask} link-call`, () => peer[ask]({ protocol: 'link-call' }));
    }
    const speak = (key: string, given: unknown) =>
      red().converse('a/b', {
        ...{ protocol: 'idle', codecs: { 1: TEXT }, behaviour: {}, [key]: given },
      });
    const { versions: _, ...same } = keys;
    const own = { codecs: never, maxBytes: never, behaviour: never, signal: never };
    await refusesEach('converse', { ...same, ...own }, speak);
    await refused('a method', () => speak('behaviour', { mesage: () => undefined }));
    const call = lab.red.converse<string>(peer, {
      ...{ protocol: 'idle', codecs: { 1: TEXT }, behaviour: {} },
    });
    for (const ms of [undefined, Number.NaN, 0, Infinity]) {
      await refused(`call within ${ms} ms`, () => call.call('x' as never, ms as number));
    }
    await refused('a call that nobody answers', () => call.call('x' as never, 1000));
    await refused('a cast that nobody takes', () => call.cast('x' as never));
  });

  test('of a stream, which goes on', async () => {
    const stream = await open();
    const each = stream as Untyped;
    for (const given of GARBAGE) {
      for (const form of ['messages', 'bytes', 'duplex'] as const) {
        await refused(`${form} ${shown(given)}`, () => each[form]({ signal: given }));
      }
      await refused(`codecs ${shown(given)}`, () => each.messages({ codecs: given }));
      const codecs = { 1: TEXT };
      await refused(`maxBytes ${shown(given)}`, () => each.messages({ codecs, maxBytes: given }));
      await refused(`join ${shown(given)}`, () => each.join(given));
      await refused(`reset ${shown(given)}`, () => each.reset(given));
      if (given !== '') await refused('a reason', () => each.reset('cancelled', given));
    }
    await refused('no codec for it', () => each.messages({ codecs: { 2: TEXT } }));
    const bytes = stream.bytes();
    for (const given of ['text', ...GARBAGE]) {
      await refused(`write ${shown(given)}`, () => bytes.write(given as Uint8Array));
    }
    for (const form of ['messages', 'bytes', 'duplex'] as const) {
      await refused(`${form} of one in use`, () => each[form](), /^stream-in-use$/);
    }
    await bytes.write(Buffer.from('good'));
    bytes.end();
    await assert.rejects(bytes.write(Buffer.from('late')), { code: 'stream-ended' });
    assert.equal(stream.outcome, undefined);
    stream.reset();
  });
});
