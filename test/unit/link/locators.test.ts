import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import {
  CANDIDATES_MAX,
  type Candidate,
  inFamilyOrder,
  type Locator,
  type LocatorContext,
  Locators,
  type LogicalName,
} from '../../../packages/link/src/locators/index.ts';
import { GONE_KINDS_MAX } from '../../../packages/link/src/locators/locators.ts';
import { ManualTimers, settled } from '../../support/manual-timers.ts';

const NORTH = { cluster: 'north' };
const HOUR_MS = 3_600_000;

test('a name is located by the function of its kind, which is told value and deadline', async () => {
  const { timers, locators } = rig();
  const asked: unknown[] = [];
  locators.locate('keyspace', async (value, { deadlineMs, signal }) => {
    asked.push([value, deadlineMs - timers.now(), signal.aborted]);
    return [at('10.0.0.1'), { transport: 'unix', address: { kind: 'unix', path: '/run/x' } }];
  });
  locators.locate('service', () => [at('10.0.0.2')]);
  const found = await locators.resolve({ keyspace: 12 }, { timeoutMs: 700 });
  assert.deepEqual(asked, [[12, 700, false]]);
  assert.deepEqual(found, [
    at('10.0.0.1'),
    { transport: 'unix', address: { kind: 'unix', path: '/run/x' } },
  ]);
  assert.deepEqual(await locators.resolve({ service: 'red/postgres' }), [at('10.0.0.2')]);
  assert.equal(locators.counts().get('keyspace')!.answered, 1);
  assert.equal(timers.pending, 0);
});

test('the last registration wins, and the one before it comes back when it is aborted', async () => {
  const { locators } = rig();
  const middle = new AbortController();
  const last = new AbortController();
  locators.locate('cluster', () => [at('10.0.0.1')]);
  locators.locate('cluster', () => [at('10.0.0.2')], { signal: middle.signal });
  locators.locate('cluster', () => [at('10.0.0.3')], { signal: last.signal });
  assert.equal(await whereIs(locators), '10.0.0.3');
  middle.abort();
  assert.equal(await whereIs(locators), '10.0.0.3');
  last.abort();
  assert.equal(await whereIs(locators), '10.0.0.1');
});

test('a locator whose signal has fired already is not registered', async () => {
  const { locators } = rig();
  locators.locate('cluster', () => [at('10.0.0.1')], { signal: AbortSignal.abort() });
  await assert.rejects(locators.resolve(NORTH), { code: 'locate-unknown' });
});

test('a name that nothing locates is refused at once, says what to do and is counted', async () => {
  const { locators } = rig();
  await assert.rejects(locators.resolve(NORTH), (error: Error & { code: string; hint: string }) => {
    assert.equal(error.code, 'locate-unknown');
    assert.match(error.message, /nothing locates cluster north/);
    assert.match(error.hint, /locate\("cluster", locator, \{ signal \}\)/);
    return true;
  });
  assert.equal(locators.unknownCount, 1);
});

test('a locator of a dead owner is not asked again; its kind is unknown after the time to return', async () => {
  const { timers, locators } = rig();
  const owner = new AbortController();
  let asked = 0;
  locators.locate('cluster', () => [at(`10.0.0.${++asked}`)], { signal: owner.signal });
  assert.equal(await whereIs(locators), '10.0.0.1');
  owner.abort();
  const waiting = outcome(locators.resolve(NORTH));
  await timers.advance(1000);
  assert.equal(await waiting, 'locate-unknown');
  assert.equal(asked, 1);
  assert.equal(locators.counts().get('cluster')!.gone, 1);
  await assert.rejects(locators.resolve(NORTH), { code: 'locate-unknown' });
  assert.equal(locators.unknownCount, 1);
  assert.equal(timers.pending, 0);
});

test('a dial under way when the owner dies is asked of the locator before it, the dead answer is ignored', async () => {
  const { locators } = rig();
  const owner = new AbortController();
  const old = held();
  locators.locate('cluster', () => [at('10.0.0.1')]);
  locators.locate('cluster', old.locator, { signal: owner.signal });
  const dial = whereIs(locators);
  await settled();
  owner.abort();
  assert.equal(old.context().signal.aborted, true);
  old.answer([at('10.0.0.66')]);
  assert.equal(await dial, '10.0.0.1');
});

test('neither answer nor failure of a dead owner counts, even when nobody else was asked yet', async () => {
  const { locators } = rig();
  const ends: ((old: ReturnType<typeof held>) => void)[] = [
    (old) => old.answer([at('10.0.0.66')]),
    (old) => old.fail(new Error('crashed')),
  ];
  for (const end of ends) {
    const owner = new AbortController();
    const next = new AbortController();
    const old = held();
    locators.locate('cluster', old.locator, { signal: owner.signal });
    const dial = whereIs(locators);
    await settled();
    owner.abort();
    end(old);
    await settled();
    locators.locate('cluster', () => [at('10.0.0.2')], { signal: next.signal });
    assert.equal(await dial, '10.0.0.2');
    next.abort();
  }
  assert.equal(locators.counts().get('cluster')!.failed, 0);
});

test('an owner that crashes and registers again leaves no gap for a dial under way nor for a new one', async () => {
  const { timers, locators } = rig();
  const first = new AbortController();
  locators.locate('cluster', held().locator, { signal: first.signal });
  const underWay = whereIs(locators);
  await settled();
  first.abort();
  const inTheGap = whereIs(locators);
  await timers.advance(500);
  locators.locate('cluster', () => [at('10.0.0.2')]);
  assert.equal(await underWay, '10.0.0.2');
  assert.equal(await inTheGap, '10.0.0.2');
  await timers.advance(HOUR_MS);
  assert.equal(await whereIs(locators), '10.0.0.2');
});

test('a dial under way ends with the answer it asked for when a newer locator is registered', async () => {
  const { locators } = rig();
  const old = held();
  locators.locate('cluster', old.locator);
  const dial = whereIs(locators);
  await settled();
  locators.locate('cluster', () => [at('10.0.0.2')]);
  assert.equal(await whereIs(locators), '10.0.0.2');
  old.answer([at('10.0.0.1')]);
  assert.equal(await dial, '10.0.0.1');
});

test('the deadline goes on while a dial is asked of one locator after another', async () => {
  const { timers, locators } = rig();
  const dial = outcome(startHung(locators, 1000));
  const owners = Array.from({ length: 3 }, () => new AbortController());
  for (const { signal } of owners) locators.locate('cluster', held().locator, { signal });
  await timers.advance(900);
  for (const owner of owners) owner.abort();
  await timers.advance(100);
  assert.equal(await dial, 'locate-timeout');
});

test('an owner that dies each time it is asked fails that dial', async () => {
  const { locators } = rig();
  const register = () => {
    const owner = new AbortController();
    const locator = () => {
      register();
      owner.abort();
      return [at('10.0.0.1')];
    };
    locators.locate('cluster', locator, { signal: owner.signal });
  };
  register();
  assert.equal(await outcome(locators.resolve(NORTH)), 'locate-failed');
});

test('a locator that hangs is an error of that dial, told to it, and others go on', async () => {
  const { timers, locators } = rig();
  const hung = held();
  locators.locate('cluster', hung.locator);
  locators.locate('service', () => [at('10.0.0.2')]);
  const dial = outcome(locators.resolve(NORTH, { timeoutMs: 1000 }));
  assert.equal((await locators.resolve({ service: 'x' })).length, 1);
  await timers.advance(1000);
  assert.equal(await dial, 'locate-timeout');
  assert.equal(hung.context().signal.aborted, true);
  assert.equal(locators.counts().get('cluster')!.timeout, 1);
});

test('an answer after the deadline changes nothing and is counted as late, once, a failure too', async () => {
  const { timers, locators } = rig();
  for (const end of ['answer', 'fail'] as const) {
    const late = held();
    locators.locate('cluster', late.locator);
    const dial = outcome(locators.resolve(NORTH, { timeoutMs: 1000 }));
    await timers.advance(1000);
    if (end === 'answer') late.answer([at('10.0.0.1')]);
    else late.fail(new Error('too late'));
    await settled();
    assert.equal(await dial, 'locate-timeout');
  }
  const { timeout, late, answered, failed } = locators.counts().get('cluster')!;
  assert.deepEqual(
    { timeout, late, answered, failed },
    { timeout: 2, late: 2, answered: 0, failed: 0 },
  );
});

test('an answer after the deadline is late even when the timer could not fire yet', async () => {
  const { timers, locators } = rig();
  const slow = held();
  locators.locate('cluster', slow.locator);
  const dial = outcome(locators.resolve(NORTH, { timeoutMs: 1000 }));
  await settled();
  timers.stall(1001);
  slow.answer([at('10.0.0.1')]);
  assert.equal(await dial, 'locate-timeout');
  assert.equal(locators.counts().get('cluster')!.late, 1);
});

test('a locator that throws or rejects fails that dial with what it threw, and is asked again next time', async () => {
  const { locators } = rig();
  let asked = 0;
  locators.locate('cluster', () => {
    asked += 1;
    if (asked === 1) throw new Error('no database');
    if (asked === 2) return Promise.reject(new Error('no database'));
    return [at('10.0.0.1')];
  });
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects(locators.resolve(NORTH), {
      code: 'locate-failed',
      message: 'the locator of cluster north failed: no database',
    });
  }
  assert.equal(await whereIs(locators), '10.0.0.1');
  assert.equal(locators.counts().get('cluster')!.failed, 2);
});

test('an answer that is rubbish is refused with what is wrong with it', async () => {
  const { locators } = rig();
  const tcp = { kind: 'tcp', host: 'a', port: 1 };
  const trap = Object.defineProperty({}, 'transport', {
    get() {
      throw new Error('a trap');
    },
  });
  const rubbish: unknown[] = [
    undefined,
    null,
    'tls:10.0.0.1',
    { transport: 'tls', address: tcp },
    [undefined],
    [{ transport: '', address: tcp }],
    [{ transport: 'tls' }],
    [{ transport: 'tls', address: { ...tcp, port: 0 } }],
    [{ transport: 'tls', address: { ...tcp, port: '1' } }],
    [{ transport: 'tls', address: { kind: 'unix', path: 'relative' } }],
    [{ transport: 'tls', address: { host: 'a', port: 1 } }],
    [at('10.0.0.1'), trap],
    Array.from({ length: CANDIDATES_MAX + 1 }, () => at('10.0.0.1')),
  ];
  for (const answer of rubbish) {
    locators.locate('cluster', () => answer as Candidate[]);
    await assert.rejects(locators.resolve(NORTH), {
      code: 'locate-invalid',
      message: /the locator of cluster north answered rubbish: ./,
    });
  }
  assert.equal(locators.counts().get('cluster')!.invalid, rubbish.length);
});

test('no candidate is an answer, and an error of its own', async () => {
  const { locators } = rig();
  locators.locate('cluster', () => []);
  assert.equal(await outcome(locators.resolve(NORTH)), 'locate-empty');
  assert.equal(locators.counts().get('cluster')!.empty, 1);
});

test('what the locator does to its answer later does not reach who asked', async () => {
  const { locators } = rig();
  const answer = [at('10.0.0.1')];
  locators.locate('cluster', () => answer);
  const found = await locators.resolve(NORTH);
  answer.length = 0;
  assert.equal(found.length, 1);
});

test('the abort of a dial ends its question and tells the locator; others of the name go on', async () => {
  const { timers, locators } = rig();
  const dial = new AbortController();
  const asked: LocatorContext[] = [];
  const answers: ((candidates: Candidate[]) => void)[] = [];
  locators.locate('cluster', (_, context) => {
    asked.push(context);
    return new Promise((resolve) => answers.push(resolve));
  });
  const stopped = outcome(locators.resolve(NORTH, { signal: dial.signal }));
  const other = whereIs(locators);
  await settled();
  dial.abort();
  assert.equal(await stopped, 'dial-aborted');
  assert.deepEqual(
    asked.map(({ signal }) => signal.aborted),
    [true, false],
  );
  for (const answer of answers) answer([at('10.0.0.1')]);
  assert.equal(await other, '10.0.0.1');
  const { aborted, late, answered } = locators.counts().get('cluster')!;
  assert.deepEqual({ aborted, late, answered }, { aborted: 1, late: 0, answered: 1 });
  assert.equal(await outcome(locators.resolve(NORTH, { signal: dial.signal })), 'dial-aborted');
  assert.equal(timers.pending, 0);
});

test('the abort of a dial that waits for an owner to return ends it', async () => {
  const { timers, locators } = rig();
  const owner = new AbortController();
  const dial = new AbortController();
  locators.locate('cluster', () => [at('10.0.0.1')], { signal: owner.signal });
  owner.abort();
  const stopped = outcome(locators.resolve(NORTH, { signal: dial.signal }));
  await settled();
  dial.abort();
  assert.equal(await stopped, 'dial-aborted');
  await timers.advance(1000);
  assert.equal(locators.counts().get('cluster')!.gone, 0);
});

test('of 1,000 locators, of one kind or of as many, one is asked for a dial', async () => {
  const { locators } = rig();
  const owner = new AbortController();
  let asked = 0;
  const counting = (host: string) => () => {
    asked += 1;
    return [at(host)];
  };
  locators.locate('cluster', counting('10.9.9.9'));
  for (let index = 0; index < 1000; index += 1) {
    const { signal } = owner;
    locators.locate('cluster', counting(`host${index}`), { signal });
    locators.locate(`kind${index}`, counting(`own${index}`), { signal });
  }
  assert.equal(await whereIs(locators), 'host999');
  assert.equal(await whereIs(locators, { kind500: 1 }), 'own500');
  assert.equal(asked, 2);
  owner.abort();
  assert.equal(await whereIs(locators), '10.9.9.9');
});

test('kinds made of data are not remembered for ever, and no count is lost', async () => {
  const { timers, locators } = rig();
  const kinds = GONE_KINDS_MAX + 10;
  for (let index = 0; index < kinds; index += 1) {
    const owner = new AbortController();
    locators.locate(`kind${index}`, () => [at('10.0.0.1')], owner);
    await locators.resolve({ [`kind${index}`]: 1 });
    owner.abort();
    await timers.advance(1000);
  }
  locators.locate('kind5', () => [at('10.0.0.1')]);
  locators.locate('kind12', () => [at('10.0.0.1')]);
  const counts = locators.counts();
  // kind5 was forgotten and is new; kind12 has come back before it was.
  assert.equal(counts.size, GONE_KINDS_MAX + 1);
  assert.equal(counts.get('kind5')!.answered, 0);
  assert.equal(counts.get('kind12')!.answered, 1);
  assert.equal(locators.total.answered, kinds);
});

test('all locators of one owner die together: a dial is not asked of one that is about to go', async () => {
  const { locators } = rig();
  const owner = new AbortController();
  const { signal } = owner;
  let asked = 0;
  locators.locate('cluster', () => [at('10.0.0.1')]);
  locators.locate('cluster', held().locator, { signal });
  const dial = whereIs(locators);
  const dying = () => {
    asked += 1;
    return [at('10.0.0.66')];
  };
  for (let index = 0; index < 20; index += 1) locators.locate('cluster', dying, { signal });
  owner.abort();
  assert.equal(await dial, '10.0.0.1');
  assert.equal(asked, 0);
});

test('a thousand locators and dials of one signal are one listener of it, and none when they end', async () => {
  const { timers, locators } = rig();
  const { signal } = new AbortController();
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  locators.locate('cluster', () => [at('10.0.0.1')]);
  const dials = Array.from({ length: 1000 }, () => locators.resolve(NORTH, { signal }));
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  await Promise.all(dials);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  for (let index = 0; index < 1000; index += 1) {
    locators.locate(`kind${index}`, () => [], { signal });
  }
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  await settled();
  process.off('warning', note);
  assert.deepEqual(warnings, []);
  assert.equal(timers.pending, 0);
});

test('a name of no kind, of two, or of a value that is neither text nor number is refused', async () => {
  const { locators } = rig();
  const wrong: unknown[] = [
    {},
    { cluster: 'north', service: 'x' },
    { cluster: '' },
    { '': 'north' },
    { cluster: Number.NaN },
    { cluster: ['north'] },
    null,
    'north',
    undefined,
  ];
  for (const name of wrong) {
    assert.equal(await outcome(locators.resolve(name as LogicalName)), 'locate-name-invalid');
  }
});

test('what is no locator is refused where it is registered', () => {
  const { locators } = rig();
  const code = 'argument-invalid';
  assert.throws(() => locators.locate('', () => []), { code, hint: /1 to 256 characters/ });
  assert.throws(() => locators.locate('cluster', 'x' as unknown as Locator), {
    code,
    message: "locator is 'x'",
    hint: /a function/,
  });
});

test('candidates are in turn of the two families, beginning with the one preferred', () => {
  const hosts = (preferred: 'ipv4' | 'ipv6', ...list: string[]) =>
    inFamilyOrder(list.map(at), preferred).map(hostOf);
  const mixed = ['10.0.0.1', '10.0.0.2', '2001:db8::1', '10.0.0.3', '2001:db8::2'];
  assert.deepEqual(hosts('ipv6', ...mixed), [
    '2001:db8::1',
    '10.0.0.1',
    '2001:db8::2',
    '10.0.0.2',
    '10.0.0.3',
  ]);
  assert.deepEqual(hosts('ipv4', '2001:db8::1', 'name.example', '10.0.0.1'), [
    '10.0.0.1',
    '2001:db8::1',
    'name.example',
  ]);
  assert.deepEqual(hosts('ipv4'), []);
});

function rig() {
  const timers = new ManualTimers();
  return { timers, locators: new Locators({ timers, returnMs: 1000 }) };
}

function at(host: string): Candidate {
  return { transport: 'tls', address: { kind: 'tcp', host, port: 7443 } };
}

function hostOf({ address }: Candidate): string {
  assert.ok(typeof address === 'object' && address.kind === 'tcp');
  return address.host;
}

async function whereIs(locators: Locators, name: LogicalName = NORTH): Promise<string> {
  const [first] = await locators.resolve(name);
  return hostOf(first!);
}

/** The code it failed with. */
function outcome(resolving: Promise<unknown>): Promise<string> {
  return resolving.then(
    () => 'answered',
    (error: { code: string }) => error.code,
  );
}

/** A dial whose locator never answers and has died since. */
function startHung(locators: Locators, timeoutMs: number): Promise<unknown> {
  const owner = new AbortController();
  locators.locate('cluster', held().locator, { signal: owner.signal });
  const dial = locators.resolve(NORTH, { timeoutMs });
  owner.abort();
  return dial;
}

/** A locator that answers when it is told to. */
function held() {
  const { promise, resolve, reject } = withResolvers<readonly Candidate[]>();
  let given: LocatorContext | undefined;
  const locator: Locator = (_, context) => {
    given = context;
    return promise;
  };
  return { locator, answer: resolve, fail: reject, context: () => given! };
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
