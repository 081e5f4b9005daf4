import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import type { RoutyError } from '../../../../packages/proto/src/base/index.ts';
import { createLink } from '../../../../packages/link/src/index.ts';
import { type Candidate, NatMap } from '../../../../packages/link/src/locators/index.ts';
import { LOOPBACK, until } from '../../../support/lanes/lane-pair.ts';
import { ask, echo, identity, memoryLab } from '../../../support/link-lab.ts';

const TIMEOUT = { timeout: 40_000 };

describe('a logical name that a link dials', TIMEOUT, () => {
  test('is asked of another locator when its owner dies in the middle, and again after a crash', async () => {
    const lab = await memoryLab();
    lab.red.locate('cluster', () => [lab.at]);
    const owner = new AbortController();
    let isAsked = false;
    // Of an owner that dies while it is asked.
    lab.red.locate(
      'cluster',
      () => {
        isAsked = true;
        return new Promise(() => undefined);
      },
      owner,
    );
    const peer = lab.red.dial({ cluster: 'north' });
    await until('the newest is asked', () => isAsked);
    owner.abort();
    await peer.ready();
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'x'), 'x');
    await lab.close();
  });

  test('goes where the newest registration says, from the next dial on', async () => {
    const lab = await memoryLab();
    const asked: string[] = [];
    let answer: () => void = () => undefined;
    const answering = new Promise<void>((resolve) => {
      answer = resolve;
    });
    lab.red.locate('cluster', async () => {
      asked.push('old');
      await answering;
      return [lab.at];
    });
    const peer = lab.red.dial({ cluster: 'north' });
    await until('the first is asked', () => asked.length === 1);
    // While the dial is under way: the answer it waits for stands, its owner lives and means it.
    lab.red.locate('cluster', () => {
      asked.push('new');
      return [lab.at];
    });
    answer();
    await peer.ready();
    assert.deepEqual(asked, ['old']);
    lab.network.setDown(true);
    lab.network.cut();
    lab.network.setDown(false);
    await until('it is dialled again', () => asked.includes('new'));
    await until('it is up again', () => peer.state === 'up');
    assert.equal(asked.filter((each) => each === 'old').length, 1);
    await lab.close();
  });

  test('that nobody knows fails the attempt, and is found as soon as an owner is back', async () => {
    const lab = await memoryLab({ locators: { returnMs: 0 } });
    const owner = new AbortController();
    lab.red.locate('cluster', () => [lab.at], owner);
    owner.abort();
    const peer = lab.red.dial({ cluster: 'north' });
    const [failure] = (await once(peer, 'attempt')) as [RoutyError];
    assert.equal(failure.code, 'locate-unknown');
    lab.red.locate('cluster', () => [lab.at]);
    await peer.ready();
    await lab.close();
  });

  test('whose locator throws or hangs harms that dial alone; a late answer is counted', async () => {
    const lab = await memoryLab();
    let answerLate: (found: never[]) => void = () => undefined;
    const late = new Promise<never[]>((resolve) => {
      answerLate = resolve;
    });
    lab.red.locate('hanging', () => late);
    lab.red.locate('throwing', () => {
      throw new Error('no such shard');
    });
    const hanging = lab.red.dial({ hanging: 1 });
    const throwing = lab.red.dial({ throwing: 'x' });
    const timedOut = once(hanging, 'attempt');
    const [failure] = (await once(throwing, 'attempt')) as [RoutyError];
    assert.equal(failure.code, 'locate-failed');
    assert.match(failure.message, /no such shard/);
    const peer = lab.red.dial(lab.at);
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'others go on'), 'others go on');

    assert.equal(((await timedOut) as [RoutyError])[0].code, 'locate-timeout');
    answerLate([]);
    await until('it is late', () => lab.red.locators.counts().get('hanging')?.late === 1);
    assert.ok(lab.red.locators.counts().get('throwing')!.failed >= 1);
    await lab.close();
  });

  test('is not led anywhere by an answer after the deadline, and is asked again', async () => {
    const lab = await memoryLab({ locators: { timeoutMs: 50 } });
    const answers: ((found: readonly Candidate[]) => void)[] = [];
    lab.red.locate('cluster', () => new Promise((resolve) => answers.push(resolve)));
    const peer = lab.red.dial({ cluster: 'north' });
    const [failure] = (await once(peer, 'attempt')) as [RoutyError];
    assert.equal(failure.code, 'locate-timeout');
    assert.match(failure.message, /did not answer within 50 ms/);
    assert.match(failure.hint!, /deadlineMs/);
    answers[0]!([lab.at]);
    await until('it is late', () => lab.red.locators.counts().get('cluster')!.late === 1);
    await until('it is asked again', () => answers.length >= 2);
    assert.equal(lab.network.lanes.length, 0);
    answers.at(-1)!([lab.at]);
    // That question may be over, too: then the next one is answered.
    lab.red.locate('cluster', () => [lab.at]);
    await peer.ready();
    await lab.close();
  });

  test('is asked of the last of a thousand locators, and of the first when their owner dies', async () => {
    const lab = await memoryLab();
    const owner = new AbortController();
    const nowhere = { transport: 'memory', address: 'nowhere' };
    lab.red.locate('cluster', () => [lab.at]);
    let asked = 0;
    for (let i = 0; i < 1000; i++) {
      const locator = () => {
        asked++;
        return [nowhere];
      };
      lab.red.locate('cluster', locator, owner);
    }
    const peer = lab.red.dial({ cluster: 'north' });
    const [failure] = (await once(peer, 'attempt')) as [RoutyError];
    assert.equal(failure.code, 'dial-refused');
    owner.abort();
    const before = asked;
    await peer.ready();
    assert.equal(asked, before);
    await lab.close();
  });

  test('is asked of one locator of a thousand', async () => {
    const lab = await memoryLab();
    const asked: number[] = [];
    for (let i = 0; i < 1000; i++) {
      lab.red.locate(`keyspace-${i}`, () => {
        asked.push(i);
        return [lab.at];
      });
    }
    await lab.red.dial({ 'keyspace-700': 12 }).ready();
    assert.deepEqual(asked, [700]);
    await lab.close();
  });

  test('leads through address translation, past candidates that are not there', async () => {
    const gray = createLink({ identity: identity('gray') });
    gray.protocol({ name: 'echo', accept: echo });
    const { address } = await gray.listen({ transport: 'tcp', address: LOOPBACK, insecure: true });
    const { port } = address as { readonly port: number };
    const red = createLink({ identity: identity('red') });
    const map = new NatMap([
      { inside: '10.7.0.0/24', outside: '127.0.0.0/24', peer: 'gray' },
      { inside: 'fd00::/64', outside: '::/64', peer: 'gray' },
    ]);
    const inside = (host: string) =>
      ({ transport: 'tcp', address: { kind: 'tcp', host, port } }) as const;
    // Nobody listens at ::1.
    red.locate('cluster', () => map.candidatesFor('gray', [inside('fd00::1'), inside('10.7.0.1')]));
    const peer = red.dial({ cluster: 'north' }, { insecure: true });
    assert.equal(await ask(await peer.open({ protocol: 'echo' }), 'x'), 'x');
    assert.equal(peer.remoteAddress, `127.0.0.1:${port}`);
    await Promise.all([red.close(), gray.close()]);
  });
});
