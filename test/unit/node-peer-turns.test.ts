import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { setImmediate as nextRound } from 'node:timers/promises';
import { PeerTurns } from '../../src/node/peer-turns.ts';

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

test('after a slice of time all lanes of the peer, and no others, wait for the next round', async () => {
  const turns = new PeerTurns();
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
  assert.ok(one.on && two.on && late.on);
  turn.spent(performance.now() - 10);
  assert.equal(one.pauses, 2, 'and so on');
  for (const lane of [one, two, late]) turn.leave(lane);
  assert.notEqual(turns.of('red/red1'), turn, 'forgotten with its last lane');
});
