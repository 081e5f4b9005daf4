/** Two nodes with a session of one lane between them. */
import { randomBytes } from 'node:crypto';
import {
  createPools,
  type DriverHandlers,
  handshakeOptions,
  type IncomingStream,
  LaneLink,
  PeerTurns,
  PendingLane,
  type SessionCommons,
  type SessionDriverApi,
  startSession,
} from '@routy/link/driver';
import type { MessageStream } from '@routy/link/streams';
import { dialLane, type Lane, listenLanes, type TlsCredentials } from '@routy/link/transport';

type Messages = MessageStream<Uint8Array>;

const MIB = 1024 * 1024;
/** The daemon's own defaults. */
const LIMITS = {
  streamWindow: 4 * MIB,
  sessionBuffer: 256 * MIB,
  processBuffer: 256 * MIB,
  streams: 10_000,
};
const ANSWER_MS = 10_000;
const NAMELESS = {
  versions: [1],
  capabilities: [],
  service: 'bench',
  source: undefined,
  destination: undefined,
} as const;

export async function listenNode(
  credentials: TlsCredentials,
  accept: (protocol: string) => Messages,
): Promise<number> {
  const commons = commonsOf(credentials);
  const onStream = (stream: IncomingStream) =>
    stream.accept(accept(stream.request.protocol).receiver);
  const listener = await listenLanes({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    credentials: () => credentials,
    handlers: {
      onLane: (lane) => acceptLane(commons, lane, onStream),
      onRefused: ({ reason }) => console.error(reason),
      onEnrol: (socket) => socket.destroy(),
      onError: (error) => console.error(error.message),
    },
  });
  return listener.address.port;
}

function acceptLane(
  commons: SessionCommons,
  lane: Lane,
  onStream: (stream: IncomingStream) => void,
): void {
  const { peer } = lane;
  new PendingLane(linkOf(lane), handshakeOptions(commons, peer), {
    route: (link, hello) => {
      const { id: sessionId } = hello.session;
      const options = { commons, role: 'acceptor', peer, sessionId } as const;
      startSession(options, handlers({ onStream })).attach(link, hello);
      return undefined;
    },
    decided: () => undefined,
  });
}

export async function dialNode(
  credentials: TlsCredentials,
  port: number,
): Promise<(protocol: string, stream: Messages) => void> {
  const address = { kind: 'tcp', host: '127.0.0.1', port } as const;
  const lane = await dialLane({ address, credentials });
  const session = await establish(commonsOf(credentials), lane);
  return (protocol, stream) => {
    const request = { protocol, ...NAMELESS };
    session.open(request, stream.receiver, { onAccepted: () => undefined, answerMs: ANSWER_MS });
  };
}

function establish(commons: SessionCommons, lane: Lane): Promise<SessionDriverApi> {
  const sessionId = randomBytes(16).toString('hex');
  return new Promise((resolve) => {
    const session: SessionDriverApi = startSession(
      { commons, role: 'dialler', peer: lane.peer, sessionId },
      handlers({ onEstablished: () => resolve(session) }),
    );
    session.dial(linkOf(lane));
  });
}

function commonsOf({ identity }: TlsCredentials): SessionCommons {
  return {
    self: identity,
    instance: randomBytes(16).toString('hex'),
    times: { heartbeatIntervalMs: 5_000, heartbeatMisses: 3, resumeTimeMs: 60_000 },
    settings: {},
    limits: LIMITS,
    software: 'routy/bench',
    pools: createPools(LIMITS),
  };
}

function linkOf(lane: Lane): LaneLink {
  return new LaneLink(lane, new PeerTurns().of(lane.peer.node), () => undefined);
}

/** Those that are given; the others do nothing. */
function handlers(given: Partial<DriverHandlers>): DriverHandlers {
  const nothing = () => undefined;
  return {
    onEstablished: nothing,
    onLaneUp: nothing,
    onLaneClosed: nothing,
    onSuspended: nothing,
    onResumed: nothing,
    onOffers: nothing,
    onStream: nothing,
    onMismatch: nothing,
    onOverload: nothing,
    onDraining: nothing,
    onClosed: nothing,
    ...given,
  };
}
