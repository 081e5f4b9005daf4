import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
import {
  PeerScheduler,
  type ScheduledPeer,
} from '../../../packages/link/src/driver/peer-scheduler.ts';
import { until } from '../../support/process.ts';

class Reading {
  on = true;
  pauses = 0;

  pause(): void {
    this.on = false;
    this.pauses++;
  }

  resume(): void {
    this.on = true;
  }
}

/** Two peers with a lane each, on a clock in the test's hand. */
class Bench {
  now = 1000;
  idle = 0;
  readonly red = new Reading();
  readonly blue = new Reading();
  readonly turns = new PeerScheduler({ nowMs: () => this.now, idleMs: () => this.idle });
  readonly redTurn = this.turns.of('red/red1');
  readonly blueTurn = this.turns.of('blue/blue1');

  constructor(t: TestContext) {
    this.redTurn.join(this.red);
    this.blueTurn.join(this.blue);
    // Nobody yields on a clock that stands still.
    t.after(() => {
      this.now += 1000;
    });
  }

  work(turn: ScheduledPeer, ms: number): void {
    this.now += ms;
    turn.spent(this.now - ms);
  }
}

test('after a slice of time all lanes of the peer, and no others, wait for the next round', async () => {
  const turns = new PeerScheduler();
  const [one, two, other, late] = [new Reading(), new Reading(), new Reading(), new Reading()];
  const turn = turns.of('red/red1');
  assert.equal(turns.of('red/red1'), turn, 'of all its lanes and sessions together');
  turn.join(one);
  turn.join(two);
  turns.of('blue/blue1').join(other);
  turn.spent(performance.now() + 1000);
  assert.ok(one.on && two.on, 'little work');
  turn.spent(performance.now() - 2000);
  assert.ok(!one.on && !two.on);
  assert.ok(other.on);
  turn.join(late);
  assert.ok(!late.on, 'a new lane is no way around it');
  turn.spent(performance.now() - 10);
  assert.equal(one.pauses, 1);
  await nextRound();
  assert.ok(one.on && two.on && late.on, 'nobody else has work');
  turn.spent(performance.now() - 10);
  assert.equal(one.pauses, 2, 'and so on');
  for (const lane of [one, two, late]) turn.leave(lane);
  assert.notEqual(turns.of('red/red1'), turn, 'forgotten with its last lane');
});

test('while others make use of the event loop, a peer yields for twice its slice', async (t) => {
  const bench = new Bench(t);
  const { red, blue, redTurn, blueTurn } = bench;
  bench.work(blueTurn, 1);
  bench.work(redTurn, 10);
  assert.ok(redTurn.yields && !red.on);
  assert.ok(!blueTurn.yields && blue.on);
  bench.now += 19;
  await sleep(10);
  assert.ok(redTurn.yields && !red.on);
  bench.now += 1;
  await until('red goes on', () => red.on && !redTurn.yields);
  // What is done for it elsewhere counts as well.
  bench.work(blueTurn, 1);
  redTurn.charge(30);
  bench.now += 49;
  await sleep(10);
  assert.ok(redTurn.yields, 'three times as long as the slice it had');
  bench.now += 1;
  await until('red goes on, as nobody waits for ever', () => red.on);
});

test('a peer goes on when the loop would be idle, and less and less is tried whether it would', async (t) => {
  const bench = new Bench(t);
  const { red, redTurn, blueTurn } = bench;
  for (const free of [1, 3, 7]) {
    bench.work(blueTurn, 1);
    bench.work(redTurn, 10);
    assert.ok(redTurn.yields);
    bench.now += 1;
    bench.idle += 1;
    await until('red goes on', () => red.on);
    for (let slice = 0; slice < free; slice++) {
      bench.work(blueTurn, 1);
      bench.work(redTurn, 10);
      assert.ok(!red.on && !redTurn.yields, `slice ${slice} of ${free}`);
      await nextRound();
      assert.ok(red.on);
    }
  }
  bench.work(blueTurn, 1);
  bench.work(redTurn, 10);
  bench.now += 1;
  bench.idle += 0.7;
  await until('red goes on', () => red.on);
  bench.work(blueTurn, 1);
  bench.work(redTurn, 10);
  assert.ok(redTurn.yields, 'others needed some of it, so that red waits after each slice again');
});

test('a peer that needs little never yields, however long it goes on', (t) => {
  const bench = new Bench(t);
  const { redTurn, blueTurn } = bench;
  for (let query = 0; query < 100; query++) {
    bench.now += 100;
    bench.work(blueTurn, 0.01);
    bench.work(redTurn, 0.1);
    assert.ok(!redTurn.waits, `query ${query} of 0.1 ms, ten in a second`);
  }
  for (let query = 0; query < 40 && !redTurn.yields; query++) bench.work(redTurn, 0.1);
  assert.ok(redTurn.yields, 'a slice in one go is another thing');
});

test('where all yield, the one with the least time left goes on', async (t) => {
  const bench = new Bench(t);
  const { red, blue, redTurn, blueTurn } = bench;
  bench.work(blueTurn, 1);
  bench.work(redTurn, 10);
  bench.work(blueTurn, 3);
  assert.ok(!red.on && !blue.on);
  await nextRound();
  assert.ok(!red.on && blue.on, 'blue has 8 ms left, red has 17');
  bench.work(blueTurn, 11);
  await nextRound();
  assert.ok(red.on && !blue.on);
});

test('bytes that cost much are taken in parts of about a millisecond', (t) => {
  const bench = new Bench(t);
  const { redTurn } = bench;
  assert.equal(redTurn.partBytes, Infinity);
  const cost = (bytes: number, ms: number) => {
    bench.now += ms;
    redTurn.spent(bench.now - ms, bytes);
    return redTurn.partBytes;
  };
  assert.equal(cost(64 * 1024, 8), 8 * 1024);
  assert.equal(cost(1024, 8), 8 * 1024, 'a few bytes say nothing of others');
  assert.equal(cost(8 * 1024, 4), 4 * 1024, 'no less');
  assert.equal(cost(4 * 1024, 0.0625), 64 * 1024);
});
