import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ProtocolAnswer,
  Protocols,
  type SpokenProtocol,
} from '../../../packages/link/src/protocols/protocols.ts';
import { VirtualTimers } from '../../support/virtual-timers.ts';

interface Owned extends SpokenProtocol {
  readonly owner: string;
}

const request = (protocol: string, versions = [1]) => ({
  protocol,
  versions,
  capabilities: [],
  service: 'x',
});

const owned = (owner: string, versions = [1]): Owned => ({
  name: 'p',
  versions,
  capabilities: [],
  owner,
});

function rig(returnMs?: number) {
  const timers = new VirtualTimers();
  const protocols = new Protocols<Owned>({
    timers,
    ...(returnMs === undefined ? {} : { returnMs }),
  });
  const answers: string[] = [];
  const ask = (name = 'p', versions = [1]) =>
    protocols.answer(request(name, versions), (answer: ProtocolAnswer<Owned>) =>
      answers.push(answer.ok ? answer.protocol.owner : answer.code),
    );
  return { timers, protocols, answers, ask };
}

test('the last owner answers; when it goes the one before it does, in whatever order they go', () => {
  const { protocols, answers, ask } = rig();
  const signals = [0, 1, 2].map(() => new AbortController());
  for (const [index, each] of signals.entries()) protocols.register(owned(`${index}`), each);
  ask();
  signals[1]!.abort();
  ask();
  signals[2]!.abort();
  ask();
  assert.deepEqual(answers, ['2', '2', '0']);
});

test('between the last owner and the next opens wait, for a second and no longer', () => {
  const { timers, protocols, answers, ask } = rig();
  const first = new AbortController();
  protocols.register(owned('first'), first);
  first.abort();
  ask();
  timers.advance(999);
  assert.deepEqual(answers, []);
  protocols.register(owned('second'), first);
  assert.deepEqual(answers, [], 'a signal that has fired registers nothing');
  protocols.register(owned('third'));
  assert.deepEqual(answers, ['third']);
  timers.advance(10_000);
  ask();
  assert.deepEqual(answers, ['third', 'third']);
});

test('when nobody comes back they are refused, and those given up are not answered', () => {
  const { timers, protocols, answers, ask } = rig();
  const owner = new AbortController();
  protocols.register(owned('gone'), owner);
  owner.abort();
  ask();
  ask()();
  timers.advance(1000);
  assert.deepEqual(answers, ['unsupported-protocol']);
  assert.equal(timers.pending, 0);
});

test('without a time to return they are refused at once, as an unknown name is', () => {
  const { protocols, answers, ask } = rig(0);
  const owner = new AbortController();
  protocols.register(owned('gone'), owner);
  owner.abort();
  ask();
  ask('other');
  assert.deepEqual(answers, ['unsupported-protocol', 'unsupported-protocol']);
});

test('an owner that comes back with another version is asked for that', () => {
  const { protocols, answers, ask } = rig();
  const owner = new AbortController();
  protocols.register(owned('old', [1]), owner);
  owner.abort();
  ask('p', [1]);
  protocols.register(owned('new', [2]));
  assert.deepEqual(answers, ['unsupported-version']);
});
