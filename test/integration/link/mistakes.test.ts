import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { describe, test } from 'node:test';
import {
  ConversationError,
  createLink,
  type Link,
  LinkError,
  RoutyError,
  StreamResetError,
} from '../../../packages/link/src/index.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { testCa, testCredentials } from '../../support/certificates.ts';
import { echo, type MemoryLab, memoryLab, TEXT, textOf } from '../../support/link-lab.ts';

/** What a program is told that does not mean what it says: at once, and what to do about it. */
interface Told {
  readonly code: string;
  readonly message: RegExp;
  readonly hint: RegExp;
}

const invalid = (message: RegExp, hint: RegExp): Told => ({
  code: 'argument-invalid',
  message,
  hint,
});

/** JavaScript has no compiler that would say so. */
const untyped = (value: unknown) => value as never;

describe('credentials that no peer could accept', () => {
  const refuse = (papers: Partial<TlsCredentials>, own: TlsCredentials, told: Omit<Told, 'code'>) =>
    assert.throws(() => createLink({ credentials: { ...own, ...papers } }), {
      code: 'credentials-invalid',
      ...told,
    });

  test('are refused by createLink, with what is wrong', async () => {
    const ca = await testCa('f');
    const [red, gray] = [await testCredentials(ca), await testCredentials(ca, { site: 'gray' })];
    const other = await testCa('f', { name: 'Another' });
    const asText = /the text of (the )?PEM file/;
    refuse({ keyPem: gray.keyPem }, red, { message: /cannot be used: .*mismatch/, hint: asText });
    refuse({ keyPem: 'red.key' }, red, { message: /cannot be used/, hint: asText });
    refuse({ certChainPem: 'red.crt' }, red, {
      message: /^certChainPem is no certificate/,
      hint: asText,
    });
    for (const name of ['certChainPem', 'keyPem', 'caPem']) {
      const faults = [
        [undefined, 'missing'],
        ['', 'empty'],
        [[red.keyPem], 'no text'],
      ];
      for (const [given, fault] of faults) {
        refuse({ [name]: given }, red, {
          message: new RegExp(`^${name} is ${fault}$`),
          hint: /each the text of a PEM file$/,
        });
      }
    }
    refuse({ identity: gray.identity }, red, {
      message: /^the certificate names routy:\/\/f\/red\/red1, not routy:\/\/f\/gray\/gray1$/,
      hint: /the one URI routy:\/\/f\/gray\/gray1$/,
    });
    refuse({ caPem: other.certPem }, red, {
      message: /^the certificate of routy:\/\/f\/red\/red1 is of another CA$/,
      hint: /^caPem has to be/,
    });
    const none = await testCredentials(ca, { uris: ['https://red.example/'] });
    refuse({}, none, { message: /^the certificate names no node, not/, hint: /the one URI/ });
    await createLink({ credentials: red }).close();
  });

  test('a promise of them is told so, and ends nothing when it fails', () => {
    const hint = /at once, and no promise$/;
    const message = 'credentials without an identity: a promise';
    const refuse = (given: unknown) =>
      assert.throws(() => createLink({ credentials: untyped(given) }), {
        code: 'credentials-invalid',
        message,
        hint,
      });
    refuse(Promise.resolve({}));
    refuse(async () => ({}));
    // Left alone it would end the process, and this test with it.
    refuse(async () => {
      throw new Error('no such file');
    });
  });

  test('a function of them that fails later, or gives those of another node, says so', async (t) => {
    const ca = await testCa('f');
    const [red, gray] = [await testCredentials(ca), await testCredentials(ca, { site: 'gray' })];
    const answers = [
      () => red,
      () => {
        throw new Error('the vault is closed');
      },
      () => gray,
    ];
    const link = createLink({ credentials: () => (answers.shift() ?? (() => gray))() });
    t.after(() => link.close());
    const address = { kind: 'tcp', host: '127.0.0.1', port: 1 } as const;
    const peer = link.dial({ transport: 'tls', address });
    const failures = on(peer, 'attempt') as AsyncIterableIterator<[LinkError, number]>;
    for (const message of [
      'the function that gives credentials has failed: the vault is closed',
      'credentials of routy://f/gray/gray1, after those of routy://f/red/red1',
    ]) {
      const [failure] = (await failures.next()).value;
      assert.equal(failure.message, message);
      assert.equal(failure.code, 'credentials-invalid');
      assert.ok(failure.hint);
    }
  });

  test('a key is not shown where its identity was forgotten', async () => {
    const { identity: _, ...papers } = await testCredentials(await testCa('f'));
    assert.throws(() => createLink({ credentials: untyped(papers) }), {
      code: 'credentials-invalid',
      message: /^credentials without an identity: an object of \[ 'certChainPem', [^-]*\]$/,
    });
  });
});

describe('what a link is given and cannot be meant is refused at once', {
  timeout: 120_000,
}, () => {
  const NAME = /a protocol's name has 1 to 63 of a-z/;
  const PEER = /'site\/node', as 'red\/red1'$/;
  const take = { accept: echo };
  const speak = { protocol: 'echo', codecs: { 1: TEXT }, behaviour: {} };

  const MISTAKES: readonly (readonly [string, (link: Link) => unknown, Told])[] = [
    [
      'a protocol without a name',
      (link) => link.protocol(untyped(take)),
      invalid(/^protocol undefined: protocol is not a name$/, NAME),
    ],
    [
      'a name with other characters',
      (link) => link.protocol({ name: 'change_log', ...take }),
      invalid(/^protocol change_log: protocol is not a name$/, NAME),
    ],
    [
      'no version',
      (link) => link.protocol({ name: 'x', versions: [], ...take }),
      invalid(/^protocol x: versions is an empty list$/, /a list such as \[1, 2\]/),
    ],
    [
      'version 0',
      (link) => link.protocol({ name: 'x', versions: [0], ...take }),
      invalid(/versions is not an integer from 1 to 65535$/, NAME),
    ],
    [
      'a protocol that takes nothing',
      (link) => link.protocol({ name: 'x' }),
      invalid(/^protocol x takes no stream$/, /accept, for streams that peers open, or reply/),
    ],
    [
      'what is no function',
      (link) => link.protocol(untyped({ name: 'x', accept: 'echo' })),
      invalid(/^accept of protocol x is 'echo'$/, /a function$/),
    ],
    [
      'a site for a peer',
      (link) => link.peer('gray'),
      invalid(/^the name of a peer is 'gray'$/, PEER),
    ],
    [
      'a site to converse with',
      (link) => link.converse('gray', speak),
      invalid(/^the name of a peer is 'gray'$/, PEER),
    ],
    [
      'a conversation without codecs',
      (link) => link.converse('gray/gray1', { ...speak, codecs: {} }),
      invalid(/^this conversation: versions is an empty list$/, NAME),
    ],
    [
      'a conversation without a behaviour',
      (link) => link.converse('gray/gray1', { ...speak, behaviour: untyped(undefined) }),
      invalid(/^behaviour is undefined$/, /established, message/),
    ],
    [
      'no lanes',
      (link) => link.dial({ transport: 'memory', address: 'gray' }, { lanes: 0 }),
      invalid(/^lanes is 0$/, /from 1 to 16$/),
    ],
    [
      'an address without its kind',
      (link) => link.dial(untyped({ transport: 'tls', address: { host: 'gray', port: 7443 } })),
      invalid(
        /candidate 0: its address is none of \{ kind: 'tcp', host, port \}/,
        /destination is/,
      ),
    ],
    [
      'a transport that is no name',
      (link) => link.dial(untyped({ transport: 7, address: 'gray' })),
      invalid(/candidate 0: its transport is no name/, /destination is/),
    ],
    [
      'a stream in no version',
      (link) =>
        link
          .dial({ transport: 'memory', address: 'gray' })
          .open({ protocol: 'echo', versions: [] }),
      invalid(/^this stream cannot be opened: versions is an empty list$/, NAME),
    ],
    [
      'a request in version 0',
      (link) =>
        link
          .dial({ transport: 'memory', address: 'gray' })
          .request({ protocol: 'echo', versions: [0] }),
      invalid(/^this stream cannot be asked for: versions is not an integer/, NAME),
    ],
  ];

  for (const [name, mistake, told] of MISTAKES) {
    test(name, async () => {
      const lab = await memoryLab();
      await assert.rejects(async () => mistake(lab.red), told);
      await lab.close();
    });
  }

  test('an error is shown by the name of its class', () => {
    const shown = [
      new LinkError('link-closed', 'text'),
      new StreamResetError('internal', 'text'),
      new ConversationError('call-timeout', 'text'),
      new RoutyError('any', 'text'),
    ].map((error) => error.stack!.split('\n')[0]);
    const names = ['LinkError', 'StreamResetError', 'ConversationError', 'RoutyError'];
    assert.deepEqual(
      shown,
      names.map((name) => `${name}: text`),
    );
  });

  test('times and limits that there are not, and no options at all', () => {
    const identity = { fabric: 'f', site: 'red', node: 'red1' };
    assert.throws(() => createLink(untyped({ identity, times: { heartbeatMs: 500 } })), {
      code: 'argument-invalid',
      message: 'there is no times.heartbeatMs',
      hint: 'times has heartbeatIntervalMs, heartbeatMisses, resumeTimeMs',
    });
    assert.throws(() => createLink(untyped({ identity, limits: { window: 1 } })), {
      message: 'there is no limits.window',
    });
    assert.throws(() => createLink(untyped(undefined)), { code: 'argument-invalid' });
  });
});

describe('what a stream is given and cannot be meant', { timeout: 120_000 }, () => {
  const streamOf = (lab: MemoryLab) => lab.red.dial(lab.at).open({ protocol: 'echo' });

  test('a second use of it, no codec for its version, a message behind the end', async () => {
    const lab = await memoryLab();
    const stream = await streamOf(lab);
    assert.throws(() => stream.messages({ codecs: { 2: TEXT } }), {
      code: 'argument-invalid',
      message: 'echo: there is no codec for version 1',
    });
    const messages = textOf(stream);
    assert.throws(() => stream.bytes(), { code: 'stream-in-use', hint: /used in one form/ });
    messages.end();
    await assert.rejects(messages.send('late'), {
      code: 'stream-ended',
      hint: /^call end\(\) after/,
    });
    const bytes = (await streamOf(lab)).bytes();
    const reading = bytes.read();
    await assert.rejects(bytes.read(), { code: 'stream-in-use', message: 'a read is under way' });
    bytes.end();
    assert.equal(await reading, undefined);
    await assert.rejects(bytes.write(Buffer.from('late')), { code: 'stream-ended' });
    await lab.close();
  });

  test('text where bytes belong, and more than a message may be', async () => {
    const lab = await memoryLab();
    const encode = (text: string) => untyped(text);
    const wrong = (await streamOf(lab)).messages({ codecs: { 1: { ...TEXT, encode } } });
    await assert.rejects(wrong.send('text'), {
      code: 'argument-invalid',
      message: "what encode has made is 'text'",
      hint: /Uint8Array/,
    });
    const small = (await streamOf(lab)).messages({ codecs: { 1: TEXT }, maxBytes: 3 });
    await assert.rejects(small.send('text'), {
      code: 'message-too-large',
      hint: 'raise maxBytes at both ends',
    });
    await lab.close();
  });
});

describe('whoever waits in vain is told for what', { timeout: 120_000 }, () => {
  const enough = (call: (signal: AbortSignal) => Promise<unknown>, told: object) => {
    const stop = new AbortController();
    const waiting = assert.rejects(call(stop.signal), { code: 'dial-aborted', ...told });
    setImmediate(() => stop.abort(new Error('enough')));
    return waiting;
  };

  test('for a peer by its name: who is there instead', async () => {
    const lab = await memoryLab();
    const message = 'waiting for grey/gray1 was stopped: enough';
    const wait = (signal: AbortSignal) => lab.red.peer('grey/gray1', { signal });
    await enough(wait, { message, hint: /^no peer has a session/ });
    await lab.red.dial(lab.at).ready();
    await enough(wait, { message, hint: 'with a session: gray/gray1' });
    await lab.close();
  });

  test('for one that cannot be reached: the last failure, and what to do about that', async () => {
    const lab = await memoryLab();
    lab.red.locate('cluster', () => []);
    const peer = lab.red.dial({ cluster: 'north' });
    await once(peer, 'attempt');
    await enough((signal) => peer.ready({ signal }), {
      message: /^waiting for the peer \(last failure: .*cluster north.*\) was stopped: enough$/,
      hint: /^check the name/,
    });
    peer.close();
    await assert.rejects(peer.ready(), { code: 'peer-closed', hint: /link\.dial/ });
    await lab.close();
  });

  test('for streams that do not end: how many there are', async () => {
    const lab = await memoryLab();
    await lab.red.dial(lab.at).open({ protocol: 'echo' });
    await enough((signal) => lab.red.drain({ signal }), {
      message: 'draining (streams open: 1) was stopped: enough',
      hint: /both ends have ended it/,
    });
    await lab.close();
  });
});

describe('an accept function that fails within a loop over its stream', {
  timeout: 120_000,
}, () => {
  const FAILURES = [
    ['internal', new Error('the disk is full')],
    ['not-allowed', new StreamResetError('not-allowed', 'no writes here')],
  ] as const;
  const LOOPS: readonly (readonly [
    string,
    (error: Error) => Parameters<Link['protocol']>[0]['accept'],
  ])[] = [
    [
      'messages',
      (error) => async (stream) => {
        for await (const _ of textOf(stream)) throw error;
      },
    ],
    [
      'batches',
      (error) => async (stream) => {
        for await (const _ of textOf(stream).batches()) throw error;
      },
    ],
    [
      'bytes',
      (error) => async (stream) => {
        for await (const _ of stream.bytes()) throw error;
      },
    ],
  ];

  for (const [form, accept] of LOOPS) {
    test(`resets it with what it failed with: ${form}`, async () => {
      const lab = await memoryLab();
      for (const [code, error] of FAILURES) {
        const told = new Promise((resolve) => lab.gray.once('acceptFailed', resolve));
        lab.gray.protocol({ name: 'writes', accept: accept(error)! });
        const messages = textOf(await lab.red.dial(lab.at).open({ protocol: 'writes' }));
        await messages.send('a write');
        await assert.rejects(messages.receive(), { code, message: error.message });
        assert.equal(await told, error);
      }
      await lab.close();
    });
  }

  test('one that leaves it and returns resets it as cancelled', async () => {
    const lab = await memoryLab();
    lab.gray.protocol({
      name: 'first',
      accept: async (stream) => {
        for await (const _ of textOf(stream)) break;
      },
    });
    const messages = textOf(await lab.red.dial(lab.at).open({ protocol: 'first' }));
    await messages.send('one');
    await assert.rejects(messages.receive(), {
      code: 'cancelled',
      message: 'a loop over the stream was left before its end',
    });
    await lab.close();
  });
});
