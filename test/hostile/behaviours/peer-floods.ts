import { randomBytes } from 'node:crypto';
import { OFFERS_NAMES_MAX } from '../../../packages/proto/src/session/offers.ts';
import type { Attack, Behaviour } from './attack.ts';
import { type HostileLane, hex } from '../attacker.ts';
import * as frames from '../frames.ts';

/** One session on which `batch` is said as fast as it is taken; a lost session is begun anew. */
function flood(name: string, batch: (round: number) => Uint8Array, options: FloodOptions = {}) {
  return {
    name,
    round: async (attack: Attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      if (options.reads === false) lane.socket.pause();
      options.onFrame?.(lane);
      for (let round = 1; !attack.over && round <= ROUNDS_MAX; round += 1) {
        if (!(await lane.flood(batch(round)))) break;
      }
      attack.drop(lane);
    },
  } satisfies Behaviour;
}

interface FloodOptions {
  /** False: what the other side says is not read. */
  readonly reads?: boolean;
  readonly onFrame?: (lane: HostileLane) => void;
}

const ROUNDS_MAX = 100_000;

function many(count: number, each: (index: number) => Uint8Array): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, (_, index) => each(index)));
}

/** `count` ids of this round that no round before has used. */
function ids(round: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => 2 * ((round - 1) * count + index) + 1);
}

const names = (count: number, length: number) =>
  Array.from({ length: count }, () => hex(length / 2));

/** What an authenticated node may say, only far too much of it. */
export const FLOOD_BEHAVIOURS: readonly Behaviour[] = [
  flood('ping-flood', (round) => many(1_000, (index) => frames.ping(round * 1_000 + index))),
  flood('ping-flood-unread', (round) => many(500, (index) => frames.ping(round * 500 + index)), {
    reads: false,
  }),
  flood('pong-flood', (round) =>
    many(1_000, (index) =>
      frames.raw(frames.TYPE.PONG, Buffer.alloc(24), { offset: round * 1_000 + index }),
    ),
  ),
  flood('goaway-flood', () => many(2_000, () => frames.raw(frames.TYPE.GOAWAY))),
  flood('offers-flood', (round) =>
    many(50, (index) => frames.offers(round * 50 + index, ['trap'])),
  ),
  flood('offers-toggle', (round) => frames.offers(round, round % 2 === 0 ? [] : ['trap'])),
  flood('offers-invented', (round) => frames.offers(round, names(700, 20))),
  flood('offers-largest', (round) => frames.offersInPages(round, names(OFFERS_NAMES_MAX, 12))),
  flood('offers-longest-names', (round) =>
    frames.offersInPages(round, names(OFFERS_NAMES_MAX, 62)),
  ),
  flood('offers-never-whole', (round) => frames.offers(round, names(700, 20), true)),
  flood('resume-flood', () => many(500, () => frames.resume(frames.record(1, 0, 0)))),
  flood('resume-never-whole', () => frames.resume(frames.record(1, 0, 0), false)),
  flood('open-reset', (round) =>
    Buffer.concat(ids(round, 500).flatMap((id) => [frames.open(id, 'echo'), frames.reset(id)])),
  ),
  flood('open-unknown-service', (round) =>
    Buffer.concat(ids(round, 200).map((id) => frames.open(id, `s${hex(8)}`))),
  ),
  flood('open-not-allowed', (round) =>
    Buffer.concat(ids(round, 200).map((id) => frames.open(id, 'secret'))),
  ),
  flood('open-dead-target', (round) =>
    Buffer.concat(ids(round, 50).map((id) => frames.open(id, 'dead'))),
  ),
  flood('open-other-protocol', (round) =>
    Buffer.concat(
      ids(round, 200).map((id) =>
        frames.json(
          frames.TYPE.OPEN,
          { protocol: hex(8), versions: [1], capabilities: [], service: 'echo' },
          { stream: id },
        ),
      ),
    ),
  ),
  flood(
    'open-unread',
    (round) => Buffer.concat(ids(round, 100).map((id) => frames.open(id, 'echo'))),
    {
      reads: false,
    },
  ),
  flood('open-idle', (round) =>
    round > 30
      ? frames.ping(round)
      : Buffer.concat(ids(round, 500).map((id) => frames.open(id, 'sink'))),
  ),
  flood('open-gaps', (round) => frames.open(2 * round * 10_000 + 1, 'echo')),
  flood('open-finished-at-once', (round) =>
    Buffer.concat(ids(round, 100).flatMap((id) => [frames.open(id, 'sink'), frames.fin(id, 0)])),
  ),
  flood('credit-flood', (round) =>
    Buffer.concat([
      ...(round === 1 ? [frames.open(1, 'echo')] : []),
      many(1_000, (index) => frames.credit(1, 65_536 + round * 1_000 + index, 0)),
    ]),
  ),
  flood('one-byte-data', (round) =>
    Buffer.concat([
      ...(round === 1 ? [frames.open(1, 'sink')] : []),
      ...(round > 60
        ? [frames.ping(round)]
        : [many(1_000, (index) => frames.data(1, (round - 1) * 1_000 + index, Buffer.of(1)))]),
    ]),
  ),
  flood('data-with-gaps', (round) =>
    Buffer.concat([
      ...(round === 1 ? [frames.open(1, 'sink')] : []),
      ...(round > 30
        ? [frames.ping(round)]
        : [many(500, (index) => frames.data(1, 2 * (round * 500 + index), Buffer.of(1)))]),
    ]),
  ),
  flood('data-again-and-again', (round) =>
    Buffer.concat([
      ...(round === 1 ? [frames.open(1, 'sink')] : []),
      frames.data(1, 0, randomBytes(60_000)),
    ]),
  ),
  flood('frames-byte-by-byte', () => frames.ping(1).subarray(0, 1)),
];
