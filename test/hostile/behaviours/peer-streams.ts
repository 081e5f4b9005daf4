import { randomBytes } from 'node:crypto';
import type { Attack, Behaviour } from './attack.ts';
import type { HostileLane } from '../attacker.ts';
import * as frames from '../frames.ts';

const CREDIT_MAX = 2 ** 53 - 300;
const { TYPE } = frames;

/** One session with some streams to a service; `then` goes on with it. */
function streams(
  name: string,
  plan: { count: number; service: string; credit: number },
  then: (attack: Attack, lane: HostileLane) => Promise<void>,
): Behaviour {
  return {
    name,
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      for (let index = 0; index < plan.count; index += 1) {
        lane.send(frames.open(2 * index + 1, plan.service, plan.credit));
      }
      await then(attack, lane);
      attack.drop(lane);
    },
  };
}

/** A session whose frames are acknowledged as an honest node would, so that bulk flows. */
function acknowledge(lane: HostileLane, stepBytes = 32 * 1024): void {
  const got = new Map<number, number>();
  const said = new Map<number, number>();
  lane.onFrame = ({ type, stream, payload }) => {
    if (type !== TYPE.DATA) return;
    const bytes = (got.get(stream) ?? 0) + payload.length;
    got.set(stream, bytes);
    if (bytes - (said.get(stream) ?? 0) < stepBytes) return;
    said.set(stream, bytes);
    lane.send(frames.credit(stream, bytes + 1024 * 1024, bytes));
  };
}

/** Resets each stream once it is accepted, behind bytes that it has announced and never sends. */
function announce(lane: HostileLane): void {
  lane.onFrame = ({ type, stream }) => {
    if (type === TYPE.ACCEPT) lane.send(frames.reset(stream, CREDIT_MAX));
  };
}

/** Sends on stream 1 as far as the other side's credit goes. */
async function upload(attack: Attack, lane: HostileLane, pieceBytes: number): Promise<void> {
  const piece = randomBytes(pieceBytes);
  let limit = 0;
  let sent = 0;
  lane.onFrame = ({ type, offset }) => {
    if (type === TYPE.ACCEPT || type === TYPE.CREDIT) limit = Math.max(limit, offset);
  };
  while (!attack.over && !lane.gone) {
    if (sent + pieceBytes > limit) {
      await attack.pause(1);
      continue;
    }
    await lane.flood(frames.data(1, sent, piece));
    sent += pieceBytes;
  }
}

/** What an authenticated node may do with streams and sessions. */
export const STREAM_BEHAVIOURS: readonly Behaviour[] = [
  streams(
    'download-never-acknowledged',
    { count: 10, service: 'source', credit: CREDIT_MAX },
    (attack, lane) => attack.rest(() => lane.gone),
  ),
  streams(
    'download-never-read',
    { count: 10, service: 'source', credit: CREDIT_MAX },
    async (attack, lane) => {
      lane.socket.pause();
      await attack.rest(() => lane.gone);
    },
  ),
  streams(
    'download-many-never-acknowledged',
    { count: 300, service: 'source', credit: CREDIT_MAX },
    (attack, lane) => attack.rest(() => lane.gone),
  ),
  streams(
    'download-lane-aborted',
    { count: 10, service: 'source', credit: CREDIT_MAX },
    async (attack, lane) => {
      await attack.pause(300);
      lane.abort();
    },
  ),
  streams(
    'download-as-fast-as-it-goes',
    { count: 2, service: 'source', credit: 1024 * 1024 },
    (attack, lane) => {
      acknowledge(lane);
      return attack.rest(() => lane.gone);
    },
  ),
  streams(
    'download-acknowledged-in-drops',
    { count: 20, service: 'source', credit: 4096 },
    (attack, lane) => {
      acknowledge(lane, 1);
      return attack.rest(() => lane.gone);
    },
  ),
  streams('upload-as-fast-as-it-goes', { count: 1, service: 'sink', credit: 0 }, (attack, lane) =>
    upload(attack, lane, 32 * 1024),
  ),
  streams('upload-small-pieces', { count: 1, service: 'sink', credit: 0 }, (attack, lane) =>
    upload(attack, lane, 16),
  ),
  streams(
    'upload-to-a-target-that-does-not-read',
    { count: 50, service: 'stuck', credit: 0 },
    (attack, lane) => upload(attack, lane, 32 * 1024),
  ),
  streams(
    'reset-behind-bytes-that-never-come',
    { count: 500, service: 'sink', credit: 0 },
    (attack, lane) => {
      announce(lane);
      return attack.rest(() => lane.gone);
    },
  ),
  streams(
    'reset-behind-bytes-while-downloading',
    { count: 100, service: 'source', credit: CREDIT_MAX },
    (attack, lane) => {
      announce(lane);
      return attack.rest(() => lane.gone);
    },
  ),
  {
    name: 'sessions-many',
    round: async (attack) => {
      attack.keep(await attack.attacker.greet());
    },
  },
  {
    name: 'sessions-many-with-offers',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      const names = Array.from({ length: 20_000 }, (_, index) => `n${index}`);
      await lane.flood(frames.offersInPages(1, names));
    },
  },
  {
    name: 'sessions-many-with-half-a-frame',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      await lane.flood(frames.offers(1, Array(1_300).fill('trap-name')).subarray(0, 15_000));
    },
  },
  {
    name: 'sessions-aborted',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      lane.send(frames.open(1, 'echo'));
      await attack.pause(5);
      lane.abort();
      attack.drop(lane);
    },
  },
  {
    name: 'session-of-many-lanes',
    round: async (attack) => {
      const first = attack.keep(await attack.attacker.greet());
      for (let epoch = 2; epoch < 60 && !attack.over && !first.gone; epoch += 1) {
        attack.keep(await attack.attacker.join(first, epoch));
      }
      await attack.pause(50);
    },
  },
  {
    name: 'lanes-that-die-young',
    round: async (attack) => {
      const first = attack.keep(await attack.attacker.greet());
      for (let epoch = 2; !attack.over && !first.gone; epoch += 1) {
        (await attack.attacker.join(first, epoch)).abort();
      }
      attack.drop(first);
    },
  },
  {
    name: 'lanes-with-wrong-proof',
    round: async (attack) => {
      const first = attack.keep(await attack.attacker.greet());
      const right = first.secret;
      first.secret = 'f'.repeat(64);
      await attack.attacker.join(first, 2).catch(() => undefined);
      first.secret = right;
      attack.drop(first);
    },
  },
  {
    name: 'pings-never-answered',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      lane.answersPings = false;
      lane.send(frames.open(1, 'source', CREDIT_MAX));
      await attack.rest(() => lane.gone);
      attack.drop(lane);
    },
  },
  {
    name: 'opens-never-answered',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      lane.send(frames.offers(1, ['trap']));
      await attack.pause(50);
      for (let count = 0; count < 200 && !attack.over; count += 1) {
        await attack.attacker
          .tcp('127.0.0.1', attack.attacker.options.trapPort)
          .then((client) => attack.keep(client).write(randomBytes(20_000)))
          .catch(() => undefined);
      }
      await attack.rest(() => lane.gone);
    },
  },
  {
    name: 'opens-never-answered-by-many-sessions',
    round: async (attack) => {
      const { attacker } = attack;
      // The last one that offers it is asked as well when the others have gone.
      const lanes = [await attacker.greet(), await attacker.greet(), await attacker.greet()];
      for (const lane of lanes) attack.keep(lane).send(frames.offers(1, ['trap']));
      for (const lane of lanes) {
        for (let count = 0; count < 20 && !attack.over; count += 1) {
          await attacker.tcp('127.0.0.1', attacker.options.trapPort).then(
            (client) => attack.keep(client).write('x'),
            () => undefined,
          );
        }
        await attack.pause(200);
        attack.drop(lane);
      }
    },
  },
  {
    name: 'opens-accepted-and-reset',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      lane.onFrame = ({ type, stream }) => {
        if (type === TYPE.OPEN) lane.send(frames.accept(stream, 100), frames.reset(stream, 0));
      };
      lane.send(frames.offers(1, ['trap']));
      while (!attack.over && !lane.gone) {
        const { trapPort } = attack.attacker.options;
        await attack.attacker.tcp('127.0.0.1', trapPort).then(
          (client) => attack.keep(client).write('x'),
          () => undefined,
        );
        await attack.pause(5);
      }
    },
  },
];
