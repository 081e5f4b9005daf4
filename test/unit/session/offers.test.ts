import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairPool } from '../../../packages/proto/src/session/flow/fair-pool.ts';
import { OFFERS_NAMES_MAX } from '../../../packages/proto/src/session/offers.ts';
import {
  FLAG_OFFERS_MORE,
  FrameType,
  OFFERS_BYTES_MAX,
} from '../../../packages/proto/src/wire/layout.ts';
import { frame, type ReadFrame } from '../../support/session/frames.ts';
import { established, type Rig } from '../../support/session/session-rig.ts';

function names(count: number, prefix = 'service'): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
}

function page(number: number, services: readonly string[], more = false): Uint8Array {
  return frame((writer) => writer.offers(number, services, more ? FLAG_OFFERS_MORE : 0));
}

/** Lists of the peer's that were told, one after the other. */
function heard(rig: Rig): string[][] {
  return rig.events().flatMap((event) => (event.kind === 'offers' ? [[...event.services]] : []));
}

function pages(frames: readonly ReadFrame[]): ReadFrame[] {
  return frames.filter(({ type }) => type === FrameType.OFFERS);
}

test('4,000 long names and 20,000 names come through as they are', () => {
  for (const list of [names(4_000, 'x'.repeat(50)), names(20_000), []]) {
    const [sender, receiver] = [established('dialler'), established('acceptor')];
    sender.sent();
    sender.session.offer(list);
    const said = pages(sender.sent());
    assert.ok(said.every(({ payload }) => payload.length <= OFFERS_BYTES_MAX));
    assert.deepEqual(
      said.map(({ flags }) => flags),
      said.map((_, index) => (index === said.length - 1 ? 0 : FLAG_OFFERS_MORE)),
    );
    receiver.events();
    for (const { offset, flags, payload } of said) {
      const services = JSON.parse(new TextDecoder().decode(payload)) as string[];
      receiver.feed(page(offset, services, flags === FLAG_OFFERS_MORE));
    }
    assert.deepEqual(heard(receiver), [list]);
  }
});

test('a list is told with its last page, each lane has its own, and the newest counts', () => {
  const rig = established('dialler');
  rig.add();
  rig.events();
  rig.feedOn(1, page(1, ['a'], true));
  rig.feedOn(2, page(1, ['x'], true));
  assert.deepEqual(heard(rig), []);
  rig.feedOn(1, page(1, ['b']));
  assert.deepEqual(heard(rig), [['a', 'b']]);
  rig.feedOn(2, page(1, ['y']));
  assert.deepEqual(heard(rig), [], 'said again, and known already');
  rig.feedOn(1, page(2, ['c'], true));
  rig.feedOn(1, page(3, ['d'], true), page(3, ['e']));
  assert.deepEqual(heard(rig), [['d', 'e']], 'another number begins another list');
  rig.feedOn(1, page(2, ['f']));
  assert.deepEqual(heard(rig), []);
});

test('a list that was cut off with its lane is said again, whole', () => {
  const rig = established('acceptor');
  rig.session.offer(names(20_000));
  const said = pages(rig.sent());
  assert.ok(said.length > 2);
  rig.lose();
  rig.join();
  const again = pages(rig.sent());
  assert.deepEqual(
    again.map(({ payload }) => payload.length),
    said.map(({ payload }) => payload.length),
  );
  const peer = established('dialler');
  peer.events();
  peer.feed(page(1, ['a'], true));
  peer.lose();
  peer.join();
  peer.feed(page(1, ['a'], true), page(1, ['b']));
  assert.deepEqual(heard(peer), [['a', 'b']]);
});

test('a list with too many names or with an empty page is refused', () => {
  const refused: [Uint8Array[], string][] = [
    [[page(1, [], true)], 'frame-payload: OFFERS with an empty page'],
    [
      Array.from({ length: 32 }, (_, part) =>
        page(1, names(OFFERS_NAMES_MAX / 32 + 1, `p${part}-`), true),
      ),
      `frame-payload: OFFERS of more than ${OFFERS_NAMES_MAX} names`,
    ],
  ];
  for (const [frames, reason] of refused) {
    const rig = established('dialler');
    rig.feed(...frames);
    const closed = rig.events().find((event) => event.kind === 'closed');
    assert.equal(closed?.kind === 'closed' && closed.reason, reason);
  }
});

test('this side offers no more names than a list may have', () => {
  const rig = established('acceptor');
  rig.sent();
  assert.equal(rig.session.offer(names(OFFERS_NAMES_MAX)), 0);
  rig.sent();
  assert.equal(rig.session.offer(names(OFFERS_NAMES_MAX + 5)), 5, 'and says how many are left out');
  const count = pages(rig.sent()).reduce((sum, { payload }) => {
    return sum + (JSON.parse(new TextDecoder().decode(payload)) as string[]).length;
  }, 0);
  assert.equal(count, OFFERS_NAMES_MAX);
});

test('many names count as memory of the peer, and sessions beyond its share end', () => {
  const pools = { send: new FairPool(32 * 2 ** 20), receive: new FairPool(32 * 2 ** 20) };
  const shares = { send: pools.send.of('red/red1'), receive: pools.receive.of('red/red1') };
  const rigs = Array.from({ length: 16 }, () => established('acceptor', { pools: shares }));
  const ended = rigs.map((rig) => {
    const parts = Array.from({ length: 30 }, (_, part) => names(1_000, `p${part}-`));
    rig.feed(...parts.map((part) => page(1, part, true)));
    return rig.session.closed;
  });
  assert.equal(ended[0], false);
  assert.ok(ended.includes(true), 'in the end there is no room for more');
  assert.ok(pools.receive.used <= pools.receive.limit);
  for (const rig of rigs) rig.session.close(rig.nowMs, 'normal', 'done');
  assert.equal(pools.receive.used, 0);
});

test('a page of 16,384 bytes is taken and sent, a larger frame ends the session by name', () => {
  // Two brackets, two quotes and a comma for each name: 16,384 = 2 + 255 x 64 + 62, less the comma.
  const largest = [
    ...names(255, 'x'.repeat(50)).map((name) => name.padEnd(61, 'y')),
    'z'.repeat(60),
  ];
  const sender = established('acceptor');
  sender.sent();
  sender.session.offer(largest);
  const [said, ...more] = pages(sender.sent());
  assert.equal(said!.payload.length, OFFERS_BYTES_MAX);
  assert.deepEqual(more, []);
  const receiver = established('dialler');
  receiver.feed(page(1, largest));
  assert.deepEqual(heard(receiver), [largest]);
  receiver.feed(page(2, [...largest.slice(0, -1), 'z'.repeat(61)]));
  const closed = receiver.events().find((event) => event.kind === 'closed');
  const reason = 'frame-length: OFFERS of 16385 bytes, allowed 2 to 16384';
  assert.equal(
    closed?.kind === 'closed' && `${closed.code} ${closed.reason}`,
    `protocol-error ${reason}`,
  );
});

test('names that are said twice count twice and are there once', () => {
  const rig = established('dialler');
  rig.events();
  rig.feed(page(1, ['a', 'b', 'a'], true), page(1, ['b']));
  assert.deepEqual(heard(rig), [['a', 'b']]);
  const part = Array.from({ length: OFFERS_NAMES_MAX / 16 }, () => 'same');
  rig.feed(...Array.from({ length: 16 }, () => page(2, part, true)), page(2, ['one']));
  const closed = rig.events().find((event) => event.kind === 'closed');
  assert.equal(
    closed?.kind === 'closed' && closed.reason,
    `frame-payload: OFFERS of more than ${OFFERS_NAMES_MAX} names`,
  );
});

test('of lists that come together the latest is told, once', () => {
  const rig = established('dialler');
  rig.events();
  const lists = Array.from({ length: 500 }, (_, n) => page(n + 1, n % 2 === 0 ? [] : [`s${n}`]));
  rig.feed(
    ...lists,
    frame((writer) => writer.goaway()),
  );
  const events = rig.events();
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['offers', 'draining'],
  );
  assert.ok(events[0]?.kind === 'offers');
  assert.deepEqual([...events[0].services], ['s499']);
  rig.feed(page(501, ['next']));
  assert.deepEqual(heard(rig), [['next']]);
});
