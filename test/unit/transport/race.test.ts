import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkError, raceCandidates } from '../../../packages/link/src/transport/index.ts';
import { ManualTimers, settled } from '../../support/manual-timers.ts';

test('candidates of several transports race: the next after the delay, those before stay in', async () => {
  const { timers, begun, race, answers } = rig(['tls:a', 'unix:b', 'memory:c']);
  await settled();
  assert.deepEqual(begun, ['tls:a']);
  await timers.advance(99);
  assert.deepEqual(begun, ['tls:a']);
  await timers.advance(1);
  assert.deepEqual(begun, ['tls:a', 'unix:b']);
  answers.get('tls:a')!.resolve('lane of a');
  assert.equal(await race, 'lane of a');
  assert.deepEqual(begun, ['tls:a', 'unix:b']);
  assert.equal(answers.get('unix:b')!.signal.aborted, true);
  assert.equal(answers.get('tls:a')!.signal.aborted, false);
  assert.equal(timers.pending, 0);
});

test('a failure starts the next candidate at once', async () => {
  const { begun, race, answers } = rig(['tls:a', 'unix:b']);
  await settled();
  answers.get('tls:a')!.reject(new Error('refused'));
  await settled();
  assert.deepEqual(begun, ['tls:a', 'unix:b']);
  answers.get('unix:b')!.resolve('lane of b');
  assert.equal(await race, 'lane of b');
});

test('what comes too late to win is disposed of', async () => {
  const { timers, race, answers, discarded } = rig(['tls:a', 'unix:b']);
  await timers.advance(100);
  answers.get('unix:b')!.resolve('lane of b');
  assert.equal(await race, 'lane of b');
  answers.get('tls:a')!.resolve('lane of a');
  await settled();
  assert.deepEqual(discarded, ['lane of a']);
});

test('when all fail the error is one, with the code of the first and the text of each', async () => {
  const { race, answers } = rig(['tls:a', 'unix:b']);
  await settled();
  answers.get('tls:a')!.reject(new LinkError('dial-refused', 'a refused', { hint: 'look at a' }));
  await settled();
  answers.get('unix:b')!.reject(new Error('b is not there'));
  await assert.rejects(race, {
    code: 'dial-refused',
    message: 'no candidate answered: a refused; b is not there',
    hint: 'look at a',
  });
});

test('the failure of the only candidate is given as it is', async () => {
  const { race, answers } = rig(['tls:a']);
  await settled();
  const failure = new LinkError('dial-timeout', 'a is silent');
  answers.get('tls:a')!.reject(failure);
  await assert.rejects(race, failure);
});

test('no candidate is a failure at once', async () => {
  await assert.rejects(rig([]).race, { code: 'dial-failed' });
});

test('an abort stops every attempt and disposes of what they still make', async () => {
  const stop = new AbortController();
  const { timers, race, answers, discarded } = rig(['tls:a', 'unix:b'], stop.signal);
  await timers.advance(100);
  stop.abort();
  await assert.rejects(race, { code: 'dial-aborted' });
  assert.ok([...answers.values()].every(({ signal }) => signal.aborted));
  answers.get('unix:b')!.resolve('lane of b');
  answers.get('tls:a')!.reject(new Error('stopped'));
  await settled();
  assert.deepEqual(discarded, ['lane of b']);
  assert.equal(timers.pending, 0);
});

test('at most eight attempts are under way: the oldest makes room for a ninth', async () => {
  const { timers, begun, race, answers } = rig(Array.from({ length: 10 }, (_, at) => `tls:${at}`));
  await timers.advance(1000);
  assert.equal(begun.length, 10);
  const going = [...answers.values()].filter(({ signal }) => !signal.aborted);
  assert.equal(going.length, 8);
  answers.get('tls:9')!.resolve('lane of 9');
  assert.equal(await race, 'lane of 9');
});

interface Attempt {
  readonly signal: AbortSignal;
  readonly resolve: (value: string) => void;
  readonly reject: (error: Error) => void;
}

function rig(candidates: readonly string[], signal = new AbortController().signal) {
  const timers = new ManualTimers();
  const begun: string[] = [];
  const discarded: string[] = [];
  const answers = new Map<string, Attempt>();
  const attempt = (candidate: string, attemptSignal: AbortSignal): Promise<string> => {
    begun.push(candidate);
    return new Promise((resolve, reject) => {
      answers.set(candidate, { signal: attemptSignal, resolve, reject });
    });
  };
  const discard = (value: string) => void discarded.push(value);
  const race = raceCandidates(candidates, attempt, { signal, discard, delayMs: 100, timers });
  return { timers, begun, discarded, answers, race };
}
