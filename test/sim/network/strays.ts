import type { Identity } from '../../../packages/proto/src/base/identity.ts';
import { makeHello, type Prove } from '../../../packages/proto/src/session/lanes/handshake.ts';
import type { LaneCode } from '../../../packages/proto/src/wire/codes.ts';
import { FrameWriter } from '../../../packages/proto/src/wire/frame-writer.ts';
import { FrameType } from '../../../packages/proto/src/wire/layout.ts';
import type { HelloSession } from '../../../packages/proto/src/wire/payload.ts';
import { Greeter } from '../nodes/greeter.ts';
import { SimLane } from './lane.ts';
import { STRANGER } from '../nodes/node.ts';
import { proveOn } from '../proof.ts';
import type { Random } from '../random.ts';
import type { SimSession } from '../nodes/sim-session.ts';
import type { World } from '../world.ts';

/** A lane that must not join a session, and how it is to be refused. */
interface Stray {
  readonly session: HelloSession;
  readonly refusals: readonly LaneCode[];
  readonly identity?: Identity;
  /** Another name than the certificate's. */
  readonly says?: Identity;
  /** Does not wait for the answer. */
  readonly early?: boolean;
}

type MakeStray = (session: SimSession, prove: Prove, random: Random) => Stray;

/** An epoch that far ahead was neither used nor given up. */
const AHEAD = 1_000;

const STRAYS: Readonly<Record<string, MakeStray>> = {
  wrongProof: ({ id, epoch }, _prove, random) => ({
    session: { id, epoch: epoch + AHEAD, proof: random.hex(64) },
    refusals: ['not-authorized'],
  }),
  withoutProof: ({ id, epoch }) => ({
    session: { id, epoch: epoch + AHEAD },
    refusals: ['not-authorized', 'stale-epoch'],
  }),
  firstHelloAgain: ({ id }) => ({
    session: { id, epoch: 1 },
    refusals: ['not-authorized', 'stale-epoch'],
  }),
  staleEpoch: ({ id, epochs, secret }, prove, random) => {
    const epoch = random.pick([...epochs]);
    const proof = prove(secret, epoch, 'dialler');
    return { session: { id, epoch, proof }, refusals: ['stale-epoch'] };
  },
  reflectedProof: ({ id, epoch, secret }, prove) => ({
    session: { id, epoch: epoch + AHEAD, proof: prove(secret, epoch + AHEAD, 'acceptor') },
    refusals: ['not-authorized'],
  }),
  proofOfOtherLane: ({ id, epoch, secret }, _prove, random) => {
    const prove = proveOn({ exporter: random.hex(16) }, id);
    const proof = prove(secret, epoch + AHEAD, 'dialler');
    return { session: { id, epoch: epoch + AHEAD, proof }, refusals: ['not-authorized'] };
  },
  stranger: ({ id, epoch, secret }, prove) => ({
    session: { id, epoch: epoch + AHEAD, proof: prove(secret, epoch + AHEAD, 'dialler') },
    refusals: ['not-authorized'],
    identity: STRANGER,
  }),
  borrowedName: ({ id, epoch, secret }, prove) => ({
    session: { id, epoch: epoch + AHEAD, proof: prove(secret, epoch + AHEAD, 'dialler') },
    refusals: ['identity-mismatch'],
    says: STRANGER,
  }),
  early: ({ id, epoch, secret }, prove) => ({
    session: { id, epoch: epoch + AHEAD, proof: prove(secret, epoch + AHEAD, 'dialler') },
    refusals: ['protocol-error'],
    early: true,
  }),
  unknownSession: (_session, _prove, random) => ({
    session: { id: random.hex(32), epoch: 7, proof: random.hex(64) },
    refusals: ['unknown-session'],
  }),
};

const FAST = { latencyMs: 0, jitterMs: 0, bytesPerMs: 1e9, queueBytes: 1e6, pieceBytes: 1e6 };

/** Somebody tries to join a lane to the acceptor's session, and must not succeed. */
export function sendStray(world: World): void {
  const { random, nodes, clock } = world;
  const acceptor = nodes[1];
  const session = acceptor.process.established;
  const settled = !acceptor.stoodStillSince(clock.nowMs) && world.plan.admitDelayMs === 0;
  if (session === undefined || !settled) return;
  const lane = new SimLane(clock, random, -1, FAST);
  const kind = random.pick(Object.keys(STRAYS));
  const stray = STRAYS[kind]!(session, proveOn(lane, session.id), random);
  world.note(`stray: ${kind}`);
  const identity = stray.identity ?? nodes[0].identity;
  const greeter = new Greeter(world, acceptor, lane, { identity, refusals: stray.refusals });
  const options = {
    ...acceptor.handshakeOptions(acceptor.identity),
    self: stray.says ?? identity,
    instance: nodes[0].process.instance,
  };
  const writer = new FrameWriter();
  writer.json(FrameType.HELLO, 0, 0, makeHello(options, stray.session, 1e15));
  if (stray.early === true) writer.goaway();
  const pieces: Uint8Array[] = [];
  // Straight to the greeter: what the HELLO is about must not change while it is under way.
  writer.drainTo(pieces);
  for (const piece of pieces) greeter.take(piece);
}
