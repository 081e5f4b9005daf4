import { Budget } from '../../../packages/proto/src/session/flow/budget.ts';
import { WINDOW_BYTES_MIN } from '../../../packages/proto/src/session/flow/receive-window.ts';
import type { SessionOptions } from '../../../packages/proto/src/session/options.ts';
import { Session } from '../../../packages/proto/src/session/session.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../../../packages/proto/src/wire/layout.ts';
import type { HelloSession } from '../../../packages/proto/src/wire/payload.ts';
import {
  acceptFrame,
  dataFrame,
  frame,
  helloFrame,
  helloOf,
  openFrame,
  resumeFrame,
  resumeStream,
  sessionOptions,
} from '../../support/session/frames.ts';
import type { Frames } from './frames.ts';
import { proveOn } from '../proof.ts';

export const POOL_BYTES = 512 * 1024;
export const SESSION_BYTES = 768 * 1024;
export const START_MS = 1_000;

/** A session in some phase, and the lane that input comes on. */
export interface Prepared {
  readonly session: Session;
  readonly options: SessionOptions;
  readonly lane: number;
}

export interface Phase {
  readonly name: string;
  /** Frames that the peer may send next. */
  readonly next: Frames;
  readonly prepare: () => Prepared;
  /** What ends when a frame is not one. */
  readonly ends: 'session' | 'lane';
}

export function makeOptions(role: 'dialler' | 'acceptor'): SessionOptions {
  return sessionOptions(role, {
    streamWindow: 64 * 1024,
    sessionBuffer: SESSION_BYTES,
    streams: 8,
    pools: { send: new Budget(POOL_BYTES), receive: new Budget(POOL_BYTES) },
  });
}

const DIALLER = makeOptions('dialler');
const ACCEPTOR = makeOptions('acceptor');

/** All lanes are the same one as far as proofs are concerned. */
export const prove = proveOn({ exporter: 'fuzz' }, DIALLER.sessionId);

/** What a HELLO of a further lane says of the session. */
export function proven(by: 'dialler' | 'acceptor', epoch: number): HelloSession {
  return { id: DIALLER.sessionId, epoch, proof: prove(ACCEPTOR.secret, epoch, by) };
}

function dialled(): Prepared {
  const options = makeOptions('dialler');
  const session = new Session(options, START_MS, 1e12);
  return { options, session, lane: session.dial(START_MS, prove) };
}

export function established(role: 'dialler' | 'acceptor'): Prepared {
  if (role === 'dialler') {
    const prepared = dialled();
    prepared.session.handleBytes(START_MS, prepared.lane, helloFrame(ACCEPTOR));
    drain(prepared.session);
    return prepared;
  }
  const options = makeOptions('acceptor');
  const session = new Session(options, START_MS, 1e12);
  const lane = session.admit(START_MS, helloOf(DIALLER), prove);
  drain(session);
  return { options, session, lane };
}

/** The dialler has one lane more, which is not answered yet. */
function dialledAgain(prepared: Prepared): Prepared {
  const lane = prepared.session.dial(START_MS, prove);
  drain(prepared.session);
  return { ...prepared, lane };
}

function joined(prepared: Prepared): Prepared {
  const again = dialledAgain(prepared);
  const hello = helloFrame(ACCEPTOR, proven('acceptor', again.lane));
  again.session.handleBytes(START_MS, again.lane, hello);
  drain(again.session);
  return again;
}

/** A dialler with streams in every state: 1 opening, 3 open with bytes under way, 5 ended here. */
function withStreams(): Prepared {
  const prepared = established('dialler');
  const { session, lane } = prepared;
  for (let i = 0; i < 3; i++) {
    session.open(START_MS, { protocol: 'tcp', versions: [1], capabilities: [], service: 's' });
  }
  for (const bytes of STREAM_SETUP) session.handleBytes(START_MS, lane, bytes);
  session.write(START_MS, 3, new Uint8Array(20_000));
  session.write(START_MS, 5, new Uint8Array(1_000));
  session.end(5);
  session.accept(4);
  session.accept(6);
  session.delivered(START_MS, 4, 100);
  drain(session);
  return prepared;
}

/** The lane is lost; streams wait for the peer's RESUME. */
function suspended(): Prepared {
  const prepared = withStreams();
  prepared.session.handleLaneClosed(START_MS, prepared.lane, 'cut');
  drain(prepared.session);
  return prepared;
}

/** 2 incoming with early data, 4 open with data, 6 ended by the peer. */
const STREAM_SETUP: Frames = [
  acceptFrame(3, 64_000),
  acceptFrame(5, 64_000),
  openFrame(2, 10_000, 's'),
  dataFrame(2, 0, new Uint8Array(50)),
  openFrame(4, 10_000, 's'),
  dataFrame(4, 0, new Uint8Array(500)),
  openFrame(6, 10_000, 's'),
  frame((writer) => writer.fin(6, 0)),
];

const STREAM_FRAMES: Frames = [
  acceptFrame(1, 30_000),
  frame((writer) => writer.credit(3, 90_000, 20_000, 0)),
  frame((writer) => writer.credit(5, 64_000, 1_000, FLAG_FIN_DELIVERED)),
  dataFrame(2, 50, new Uint8Array(30)),
  dataFrame(4, 900, new Uint8Array(300)),
  dataFrame(4, 500, new Uint8Array(450)),
  frame((writer) => writer.fin(4, 1_200)),
  frame((writer) => writer.reset(2, 80, 'cancelled', 'gone')),
  openFrame(10, 5_000, 's'),
  openFrame(8, 5_000, 's'),
  frame((writer) => writer.pong(1, 1e15, 1e15, 1e15)),
  frame((writer) => writer.credit(4, 20_000, 0, 0)),
  frame((writer) => writer.goaway()),
  // One byte more than the credit of a stream that is not accepted.
  dataFrame(8, 0, new Uint8Array(WINDOW_BYTES_MIN + 1)),
];

/** What the peer of {@link withStreams} may know. */
const RESUMES: Frames = [
  resumeFrame((writer) => {
    writer.opened(3, 6);
    writer.dead(1);
    writer.seen(5);
    writer.stream(resumeStream(3, { received: 12_000, delivered: 7_000 }));
    writer.stream(resumeStream(4, { received: 0, limit: 10_000 }));
    writer.stream(resumeStream(5, { received: 1_000, delivered: 1_000, finReceived: true }));
    writer.ended(2, 'cancelled');
    writer.ended(6, undefined);
  }),
  resumeFrame((writer) => writer.opened(0, 0)),
  resumeFrame((writer) => {
    writer.opened(5, 8);
    for (const id of [1, 2, 3, 4, 5, 6]) writer.stream(resumeStream(id));
  }),
];

const SESSION_FRAMES: Frames = [
  frame((writer) => writer.ping(1, 1e15)),
  frame((writer) => writer.json(FrameType.OFFERS, 0, 1, ['postgres'])),
  frame((writer) => writer.pong(1, 1e15, 1e15, 1e15)),
];

/** Every further lane that is dialled has the next epoch. */
const FURTHER_HELLO = helloFrame(ACCEPTOR, proven('acceptor', 2));

export const PHASES: readonly Phase[] = [
  {
    name: 'first-lane',
    next: [helloFrame(ACCEPTOR), ...SESSION_FRAMES],
    prepare: dialled,
    ends: 'session',
  },
  {
    name: 'further-lane',
    next: [FURTHER_HELLO, ...SESSION_FRAMES],
    prepare: () => dialledAgain(established('dialler')),
    ends: 'lane',
  },
  {
    name: 'acceptor',
    next: [openFrame(1, 5_000, 's'), dataFrame(1, 0, new Uint8Array(99)), ...SESSION_FRAMES],
    prepare: () => established('acceptor'),
    ends: 'session',
  },
  { name: 'streams', next: STREAM_FRAMES, prepare: withStreams, ends: 'session' },
  {
    name: 'two-lanes',
    next: [...STREAM_FRAMES.slice(0, 6), ...RESUMES.slice(0, 1)],
    prepare: () => joined(withStreams()),
    ends: 'session',
  },
  {
    name: 'resumed',
    next: [...RESUMES, ...STREAM_FRAMES],
    prepare: () => joined(suspended()),
    ends: 'session',
  },
  {
    name: 'resuming',
    next: [FURTHER_HELLO, ...RESUMES, ...STREAM_FRAMES.slice(0, 5)],
    prepare: () => dialledAgain(suspended()),
    ends: 'lane',
  },
  {
    name: 'draining',
    next: STREAM_FRAMES,
    prepare: () => {
      const prepared = withStreams();
      prepared.session.drain();
      return prepared;
    },
    ends: 'session',
  },
  {
    name: 'closed',
    next: SESSION_FRAMES,
    prepare: () => {
      const prepared = established('dialler');
      prepared.session.close(START_MS, 'shutdown', 'enough');
      return prepared;
    },
    ends: 'session',
  },
];

/** What diallers say on an accepted lane, before it is known which session it joins. */
export const GREETINGS: readonly Frames[] = [
  [helloFrame(DIALLER, proven('dialler', 2))],
  [helloFrame(DIALLER, proven('acceptor', 2))],
  [helloFrame(DIALLER)],
  [helloFrame(DIALLER, proven('dialler', 3)), ...SESSION_FRAMES],
];

function drain(session: Session): void {
  for (const { lane } of session.lanes()) {
    while (session.pollTransmit(lane, Number.MAX_SAFE_INTEGER) !== undefined);
  }
  while (session.pollEvent() !== undefined);
}
