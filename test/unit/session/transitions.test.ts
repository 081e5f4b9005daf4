import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FRAME_RULES, FrameType, frameName } from '../../../packages/proto/src/wire/layout.ts';
import { parseClose } from '../../../packages/proto/src/wire/payload.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  helloFrame,
  openFrame,
  readFrames,
  resumeFrame,
  sessionOptions,
} from '../../support/session/frames.ts';
import { established, open, Rig, type Role } from '../../support/session/session-rig.ts';

const TYPES = [...FRAME_RULES.keys()];

/** A well-formed frame of the type; of the stream at the offset, where it belongs to one. */
function frameOf(type: number, from: Role, stream = 1, offset = 0): Uint8Array {
  switch (type) {
    case FrameType.HELLO:
      return helloFrame(sessionOptions(from));
    case FrameType.CLOSE:
      return frame((writer) => writer.close('shutdown', 'bye'));
    case FrameType.PING:
      return frame((writer) => writer.ping(5, 1));
    case FrameType.PONG:
      return frame((writer) => writer.pong(5, 1, 2, 3));
    case FrameType.OFFERS:
      return frame((writer) => writer.json(FrameType.OFFERS, 0, 1, ['postgres']));
    case FrameType.RESUME:
      return resumeFrame((writer) => writer.opened(0, 0));
    case FrameType.GOAWAY:
      return frame((writer) => writer.goaway());
    case FrameType.OPEN:
      return openFrame(stream, 1_000);
    case FrameType.ACCEPT:
      return acceptFrame(stream, 100_000);
    case FrameType.DATA:
      return dataFrame(stream, offset, new Uint8Array(3));
    case FrameType.FIN:
      return frame((writer) => writer.fin(stream, offset));
    case FrameType.RESET:
      return frame((writer) => writer.reset(stream, offset, 'cancelled', 'bye'));
    default:
      return frame((writer) => writer.credit(stream, 200_000, 0, 0));
  }
}

/** `taken`, or the code with which this side closed, or `closed by peer`. */
function outcome(rig: Rig, bytes: Uint8Array): string {
  rig.events();
  rig.feed(bytes);
  const events = rig.events();
  const closed = events.find((event) => event.kind === 'closed');
  if (closed === undefined) return 'taken';
  if (closed.remote) return 'closed by peer';
  assert.equal(closed.code, 'protocol-error');
  const lane = events.find((event) => event.kind === 'lane-closed')!;
  const last = readFrames(lane.last).at(-1)!;
  assert.equal(last.type, FrameType.CLOSE, 'CLOSE is the last frame sent');
  assert.deepEqual(parseClose(last.payload), { code: closed.code, reason: closed.reason });
  return closed.reason.split(':')[0]!;
}

/** What is not named in a row is out of order. */
const SESSION_PHASES: readonly {
  readonly name: string;
  readonly make: () => Rig;
  readonly from: Role;
  readonly rest: string;
  readonly takes: Readonly<Record<string, string>>;
}[] = [
  {
    name: 'dialler that waits for HELLO',
    make: () => {
      const rig = new Rig('dialler');
      rig.dial();
      return rig;
    },
    from: 'acceptor',
    takes: { HELLO: 'taken', CLOSE: 'closed by peer' },
    rest: 'frame-order',
  },
  {
    name: 'established session without streams',
    make: () => established('acceptor'),
    from: 'dialler',
    takes: {
      HELLO: 'frame-order',
      CLOSE: 'closed by peer',
      PING: 'taken',
      PONG: 'taken',
      OFFERS: 'taken',
      GOAWAY: 'taken',
      RESUME: 'taken',
      OPEN: 'taken',
      // Of a stream this side has yet to hear of.
      RESET: 'taken',
    },
    rest: 'stream-id',
  },
  {
    name: 'closed session',
    make: () => {
      const rig = established('acceptor');
      rig.session.close(rig.nowMs, 'shutdown', 'enough');
      return rig;
    },
    from: 'dialler',
    takes: {},
    rest: 'taken',
  },
];

for (const phase of SESSION_PHASES) {
  for (const type of TYPES) {
    const name = frameName(type);
    const expected = phase.takes[name] ?? phase.rest;
    test(`${phase.name}: ${name} is ${expected}`, () => {
      assert.equal(outcome(phase.make(), frameOf(type, phase.from)), expected);
    });
  }
}

/** Streams of a dialler; the peer's have even ids. */
const STREAM_PHASES: readonly {
  readonly name: string;
  readonly stream: number;
  readonly received: number;
  readonly make: () => Rig;
  readonly expected: Readonly<Record<string, string>>;
}[] = [
  {
    name: 'opening',
    stream: 1,
    received: 0,
    make: () => {
      const rig = established('dialler');
      open(rig);
      return rig;
    },
    expected: {
      OPEN: 'stream-id',
      ACCEPT: 'taken',
      DATA: 'stream-state',
      FIN: 'stream-state',
      RESET: 'taken',
      CREDIT: 'stream-state',
    },
  },
  {
    name: 'incoming',
    stream: 2,
    received: 0,
    make: () => {
      const rig = established('dialler');
      rig.feed(openFrame(2, 1_000));
      return rig;
    },
    expected: {
      OPEN: 'taken',
      ACCEPT: 'stream-state',
      DATA: 'taken',
      FIN: 'taken',
      RESET: 'taken',
      CREDIT: 'stream-state',
    },
  },
  {
    name: 'open, opened here',
    stream: 1,
    received: 3,
    make: () => {
      const rig = established('dialler');
      open(rig);
      rig.feed(acceptFrame(1, 50_000), dataFrame(1, 0, new Uint8Array(3)));
      return rig;
    },
    expected: {
      OPEN: 'stream-id',
      ACCEPT: 'taken',
      DATA: 'taken',
      FIN: 'taken',
      RESET: 'taken',
      CREDIT: 'taken',
    },
  },
  {
    name: 'open, opened by the peer',
    stream: 2,
    received: 3,
    make: () => {
      const rig = established('dialler');
      rig.feed(openFrame(2, 1_000), dataFrame(2, 0, new Uint8Array(3)));
      rig.session.accept(2);
      return rig;
    },
    expected: {
      OPEN: 'taken',
      ACCEPT: 'stream-state',
      DATA: 'taken',
      FIN: 'taken',
      RESET: 'taken',
      CREDIT: 'taken',
    },
  },
  {
    name: 'open, half-closed by the peer',
    stream: 2,
    received: 3,
    make: () => {
      const rig = established('dialler');
      rig.feed(openFrame(2, 1_000), dataFrame(2, 0, new Uint8Array(3)));
      rig.feed(frame((writer) => writer.fin(2, 3)));
      rig.session.accept(2);
      return rig;
    },
    expected: {
      OPEN: 'taken',
      ACCEPT: 'stream-state',
      DATA: 'final-size',
      FIN: 'taken',
      RESET: 'taken',
      CREDIT: 'taken',
    },
  },
  {
    name: 'gone, opened here',
    stream: 1,
    received: 0,
    make: () => {
      const rig = established('dialler');
      rig.session.reset(open(rig), 'cancelled', 'enough');
      return rig;
    },
    expected: {
      OPEN: 'stream-id',
      ACCEPT: 'taken',
      DATA: 'taken',
      FIN: 'taken',
      RESET: 'taken',
      CREDIT: 'taken',
    },
  },
  {
    name: 'gone, opened by the peer',
    stream: 2,
    received: 0,
    make: () => {
      const rig = established('dialler');
      rig.feed(openFrame(2, 1_000));
      rig.session.reset(2, 'not-allowed', 'no');
      return rig;
    },
    expected: {
      OPEN: 'taken',
      ACCEPT: 'taken',
      DATA: 'taken',
      FIN: 'taken',
      RESET: 'taken',
      CREDIT: 'taken',
    },
  },
  {
    name: 'never opened by this side',
    stream: 3,
    received: 0,
    make: () => established('dialler'),
    expected: {
      OPEN: 'stream-id',
      ACCEPT: 'stream-id',
      DATA: 'stream-id',
      FIN: 'stream-id',
      RESET: 'stream-id',
      CREDIT: 'stream-id',
    },
  },
  {
    name: 'never opened by the peer',
    stream: 4,
    received: 0,
    make: () => established('dialler'),
    expected: {
      OPEN: 'taken',
      ACCEPT: 'stream-id',
      DATA: 'stream-id',
      FIN: 'stream-id',
      RESET: 'taken',
      CREDIT: 'stream-id',
    },
  },
];

for (const phase of STREAM_PHASES) {
  for (const [name, expected] of Object.entries(phase.expected)) {
    test(`stream that is ${phase.name}: ${name} is ${expected}`, () => {
      const type = TYPES.find((each) => frameName(each) === name)!;
      const bytes = frameOf(type, 'acceptor', phase.stream, phase.received);
      assert.equal(outcome(phase.make(), bytes), expected);
    });
  }
}

test('ids rise by two from 1 at the dialler and from 2 at the acceptor', () => {
  const dialler = established('dialler');
  assert.deepEqual([open(dialler), open(dialler), open(dialler)], [1, 3, 5]);
  const acceptor = established('acceptor');
  assert.deepEqual([open(acceptor), open(acceptor)], [2, 4]);
  dialler.feed(openFrame(2, 1_000), openFrame(4, 1_000));
  acceptor.feed(openFrame(1, 1_000), openFrame(3, 1_000));
  assert.deepEqual(dialler.kinds(), ['opened', 'opened']);
  assert.deepEqual(acceptor.kinds(), ['opened', 'opened']);
});

test('what came in the same chunk after CLOSE, or after a violation, is not looked at', () => {
  const rig = established('acceptor');
  rig.feed(
    frame((writer) => writer.close('shutdown', 'bye')),
    openFrame(1, 1_000),
    dataFrame(1, 0, new Uint8Array(3)),
    Uint8Array.of(255),
  );
  assert.deepEqual(rig.kinds(), ['lane-closed', 'closed']);
  const other = established('acceptor');
  other.feed(
    frame((writer) => writer.fin(9, 0)),
    openFrame(1, 1_000),
  );
  assert.deepEqual(other.kinds(), ['lane-closed', 'closed']);
});
