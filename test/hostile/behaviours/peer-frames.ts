import { randomBytes } from 'node:crypto';
import type { Attack, Behaviour } from './attack.ts';
import * as frames from '../frames.ts';

const { TYPE } = frames;

/** Bytes on a fresh session that break the protocol: the session ends, and the next one begins. */
function broken(name: string, bytes: () => Uint8Array): Behaviour {
  return {
    name,
    round: async (attack: Attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      lane.send(bytes());
      const untilMs = performance.now() + 1_000;
      await attack.rest(() => lane.gone || performance.now() > untilMs);
      attack.drop(lane);
    },
  };
}

/** The same after a stream to a service was opened. */
function brokenStream(name: string, service: string, bytes: () => Uint8Array): Behaviour {
  return broken(name, () => Buffer.concat([frames.open(1, service), bytes()]));
}

const U64_MAX = 2n ** 64n - 1n;

/** Frames that an authenticated node may not say. */
export const FRAME_BEHAVIOURS: readonly Behaviour[] = [
  broken('frame-unknown-type', () => frames.raw(0x7f)),
  broken('frame-reserved-type', () => frames.raw(TYPE.DATAGRAM, randomBytes(8), { stream: 1 })),
  broken('frame-unknown-flags', () => frames.raw(TYPE.PING, randomBytes(8), { flags: 0x80 })),
  broken('frame-reserved-bits', () => frames.raw(TYPE.PING, Buffer.alloc(8), { reserved: 1 })),
  broken('frame-length-huge', () =>
    frames.raw(TYPE.DATA, Buffer.alloc(0), { stream: 1, length: 0xffff_ffff }),
  ),
  broken('frame-stream-zero', () => frames.raw(TYPE.FIN)),
  broken('frame-stream-huge', () => frames.raw(TYPE.FIN, undefined, { stream: U64_MAX })),
  broken('frame-session-with-stream', () => frames.raw(TYPE.GOAWAY, undefined, { stream: 5 })),
  broken('frame-offset-huge', () =>
    frames.raw(TYPE.DATA, randomBytes(9), { stream: 1, offset: U64_MAX }),
  ),
  broken('data-of-no-stream', () => frames.data(99, 0, randomBytes(10))),
  brokenStream('data-beyond-credit', 'sink', () => frames.data(1, 2 ** 40, randomBytes(1_000))),
  brokenStream('fin-beyond-credit', 'sink', () => frames.fin(1, 2 ** 40)),
  brokenStream('fin-twice-different', 'sink', () =>
    Buffer.concat([frames.fin(1, 10), frames.fin(1, 11)]),
  ),
  brokenStream('fin-below-data', 'sink', () =>
    Buffer.concat([frames.data(1, 0, randomBytes(100)), frames.fin(1, 10)]),
  ),
  brokenStream('credit-beyond-sent', 'echo', () => frames.credit(1, 2 ** 40, 2 ** 40)),
  brokenStream('accept-own-stream', 'echo', () => frames.accept(1, 100)),
  brokenStream('open-twice', 'echo', () => frames.open(1, 'sink')),
  broken('open-other-parity', () => frames.open(2, 'echo')),
  broken('open-id-huge', () => frames.open(2 ** 53 - 1, 'echo')),
  broken('open-no-json', () => frames.raw(TYPE.OPEN, randomBytes(50), { stream: 1 })),
  broken('reset-below-data', () =>
    Buffer.concat([frames.open(1, 'sink'), frames.data(1, 0, randomBytes(50)), frames.reset(1, 1)]),
  ),
  broken('offers-no-array', () => frames.json(TYPE.OFFERS, { a: 1 }, { offset: 1 })),
  broken('offers-too-large', () => frames.offers(1, Array(10_000).fill('trap-name'))),
  broken('offers-bad-names', () => frames.offers(1, ['ok', 'NOT A NAME', '\u202e', 7])),
  broken('resume-no-records', () => frames.resume(randomBytes(1_000))),
  broken('resume-ids-never-heard', () =>
    frames.resume(
      Buffer.concat([
        frames.record(1, 0, 0),
        Buffer.concat([Buffer.of(4, 1), Buffer.alloc(32, 0x11)]),
      ]),
    ),
  ),
  broken('resume-dead-of-itself', () =>
    frames.resume(Buffer.concat([frames.record(1, 0, 0), frames.record(2, 1)])),
  ),
  broken('close-crooked-reason', () => frames.close(13, `\u202e${'x\n'.repeat(1_000)}\u2028`)),
  broken('close-unknown-code', () => frames.close(60_000, 'who knows')),
  broken('close-no-utf8', () => frames.raw(TYPE.CLOSE, Buffer.of(0, 0, 0xff, 0xfe, 0xc0))),
];
