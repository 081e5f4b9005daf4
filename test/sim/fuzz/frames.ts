import {
  LANE_CODES,
  type LaneCode,
  STREAM_CODES,
  type StreamCode,
} from '../../../packages/proto/src/wire/codes.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../../../packages/proto/src/wire/layout.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  openFrame,
  resumeFrame,
} from '../../support/session/frames.ts';
import type { Random } from '../random.ts';

/** Frames in order, each whole. */
export type Frames = readonly Uint8Array[];

const LANE_CODE_NAMES = Object.keys(LANE_CODES) as LaneCode[];
const STREAM_CODE_NAMES = Object.keys(STREAM_CODES) as StreamCode[];

/** Frames that are well formed; whether they are in order is another question. */
export function drawFrames(random: Random): Frames {
  const frames: Uint8Array[] = [];
  const count = random.int(1, 6);
  for (let i = 0; i < count; i++) frames.push(drawFrame(random));
  return frames;
}

function drawFrame(random: Random): Uint8Array {
  const stream = random.int(1, 12);
  const offset = random.chance(0.5) ? random.skewed(0, 70_000) : random.skewed(0, 2 ** 50);
  const reason = 'x'.repeat(random.skewed(0, 40));
  switch (random.int(0, 13)) {
    case 0:
      return frame((writer) => writer.ping(random.int(0, 5), offset));
    case 1:
      return frame((writer) => writer.pong(random.int(0, 5), offset, offset + 1, offset + 2));
    case 2:
      return frame((writer) => writer.goaway());
    case 3:
      return frame((writer) => writer.json(FrameType.OFFERS, 0, offset, ['postgres', 'redis']));
    case 4:
      return openFrame(stream, offset, 'postgres');
    case 5:
      return acceptFrame(stream, offset);
    case 6:
      return frame((writer) => writer.fin(stream, offset));
    case 7:
      return frame((writer) =>
        writer.reset(stream, offset, random.pick(STREAM_CODE_NAMES), reason),
      );
    case 8:
      return frame((writer) => writer.close(random.pick(LANE_CODE_NAMES), reason));
    case 9:
      return drawResume(random);
    case 10:
      return drawCredit(random, stream, offset);
    default:
      return dataFrame(stream, offset, new Uint8Array(random.skewed(1, drawSizeMax(random))));
  }
}

function drawCredit(random: Random, stream: number, limit: number): Uint8Array {
  const flags = random.chance(0.3) ? FLAG_FIN_DELIVERED : 0;
  return frame((writer) => writer.credit(stream, limit, random.skewed(0, limit), flags));
}

/** A set of records that may be true of a session with a few streams. */
export function drawResume(random: Random): Uint8Array {
  const number = () => (random.chance(0.9) ? random.skewed(0, 70_000) : random.skewed(0, 2 ** 50));
  const count = () => random.skewed(0, 4);
  return resumeFrame((writer) => {
    writer.opened(random.int(0, 7), random.int(0, 8));
    for (let i = count(); i > 0; i--) writer.dead(random.int(1, 4));
    for (let i = count(); i > 0; i--) writer.seen(random.int(1, 9));
    for (let i = count(); i > 0; i--) {
      const [open, finReceived, finDelivered] = [0, 1, 2].map(() => random.chance(0.5));
      const flags = { open: open!, finReceived: finReceived!, finDelivered: finDelivered! };
      const received = number();
      const delivered = random.chance(0.9) ? random.skewed(0, received) : number();
      writer.stream({
        id: random.int(1, 9),
        ...flags,
        received,
        delivered,
        limit: delivered + number(),
      });
    }
    for (let i = count(); i > 0; i--) {
      writer.ended(
        random.int(1, 9),
        random.chance(0.5) ? undefined : random.pick(STREAM_CODE_NAMES),
      );
    }
  });
}

/** Large payloads are rare: they cost time and show little that small ones do not. */
function drawSizeMax(random: Random): number {
  return random.chance(0.01) ? 256 * 1024 : 300;
}
