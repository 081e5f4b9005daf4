import type {
  DriverHandlers,
  IncomingStream,
  SessionDriverApi,
} from '../../../../packages/link/src/driver/driver-types.ts';
import { LaneLink } from '../../../../packages/link/src/driver/lanes/lane-link.ts';
import { PendingLane } from '../../../../packages/link/src/driver/lanes/pending-lane.ts';
import { PeerScheduler } from '../../../../packages/link/src/driver/peer-scheduler.ts';
import { startSession } from '../../../../packages/link/src/driver/session-driver.ts';
import {
  createPools,
  handshakeOptions,
  type SessionCommons,
} from '../../../../packages/link/src/driver/session-options.ts';
import type { ByteReceiver } from '../../../../packages/link/src/streams/byte-stream.ts';
import type { Lane } from '../../../../packages/link/src/transport/lane.ts';
import type { Identity } from '../../../../packages/proto/src/base/identity.ts';
import { tlsLanePair, until } from '../../../support/lanes/lane-pair.ts';
import { memoryLanePair } from '../../../support/lanes/memory-pair.ts';

const MIB = 1024 * 1024;

/** Most bytes of one stream that a session takes whose peer does not deliver them. */
export const STREAM_WINDOW = MIB;

const LIMITS = {
  streamWindow: STREAM_WINDOW,
  sessionBuffer: 64 * MIB,
  processBuffer: 128 * MIB,
  streams: 1000,
};

/** Two sessions that are each other's peer, in one process. */
export interface SessionPair {
  readonly dialler: SessionDriverApi;
  readonly acceptor: SessionDriverApi;
  /** Opens a stream from one receiver at the dialler to the other at the acceptor. */
  join(opener: ByteReceiver, acceptor: ByteReceiver): Promise<void>;
  close(): Promise<void>;
}

/**
 * Over lanes in memory, or over TLS and TCP on the loopback. `asked` answers the dialler's streams in
 * place of what {@link SessionPair.join} says.
 */
export async function sessionPair(
  over: 'memory' | 'tls',
  asked?: (stream: IncomingStream) => void,
): Promise<SessionPair> {
  const lanes = over === 'tls' ? await tlsLanePair() : memoryLanePair();
  const waiting: ByteReceiver[] = [];
  const state = { joined: 0 };
  const onStream = (stream: IncomingStream): void => {
    stream.accept(waiting.shift()!);
    state.joined += 1;
  };
  const dialler = startSession(
    {
      commons: commonsOf(lanes.accepted.peer, 'a'),
      role: 'dialler',
      peer: lanes.dialled.peer,
      sessionId: 'ab'.repeat(16),
    },
    handlers({}),
  );
  const commons = commonsOf(lanes.dialled.peer, 'b');
  const peer = lanes.accepted.peer;
  let acceptor: SessionDriverApi | undefined;
  new PendingLane(linkOf(lanes.accepted), handshakeOptions(commons, peer), {
    route: (link, hello) => {
      const { id: sessionId } = hello.session;
      acceptor = startSession(
        { commons, role: 'acceptor', peer, sessionId },
        handlers({ onStream: asked ?? onStream }),
      );
      acceptor.attach(link, hello);
      return undefined;
    },
    decided: () => undefined,
  });
  dialler.dial(linkOf(lanes.dialled));
  await until('the session is established', () => dialler.established);
  return {
    dialler,
    acceptor: acceptor!,
    join: async (opening, accepting) => {
      waiting.push(accepting);
      const before = state.joined;
      const request = {
        protocol: 'test',
        versions: [1],
        capabilities: [],
        service: 'x',
        source: undefined,
        destination: undefined,
      };
      dialler.open(request, opening, { onAccepted: () => undefined, answerMs: 60_000 });
      await until('the stream is accepted', () => state.joined > before);
    },
    close: async () => {
      for (const session of [dialler, acceptor!]) session.close('normal', 'the test is over');
      await lanes.close();
    },
  };
}

function commonsOf(self: Identity, digit: string): SessionCommons {
  return {
    self,
    instance: digit.repeat(32),
    times: { heartbeatIntervalMs: 5_000, heartbeatMisses: 3, resumeTimeMs: 60_000 },
    settings: {},
    limits: LIMITS,
    software: 'routy/test',
    pools: createPools(LIMITS),
  };
}

function linkOf(lane: Lane): LaneLink {
  return new LaneLink(lane, new PeerScheduler().of(lane.peer.node), () => undefined);
}

/** Those that are given; the others do nothing. */
function handlers(given: Partial<DriverHandlers>): DriverHandlers {
  return new Proxy(given as DriverHandlers, {
    get: (_given, name) => Reflect.get(given, name) ?? (() => undefined),
  });
}
