import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LaneAdmission } from '../../../../packages/proto/src/session/lanes/lane-admission.ts';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import {
  type HelloSession,
  parseClose,
  parseHello,
} from '../../../../packages/proto/src/wire/payload.ts';
import {
  frame,
  helloFrame,
  helloOf,
  resumeFrame,
  sessionOptions,
} from '../../../support/session/frames.ts';
import { Pair } from '../../../support/session/session-pair.ts';
import { established, prove, Rig } from '../../../support/session/session-rig.ts';

const ID = 'a'.repeat(32);
const SECRET = sessionOptions('acceptor').secret;

function helloSession(rig: Rig): HelloSession {
  const [hello] = rig.sent();
  assert.equal(hello!.type, FrameType.HELLO);
  return parseHello(hello!.payload).session;
}

/** The refusal of a further lane that names this session. */
function judged(rig: Rig, session: HelloSession): string | undefined {
  return rig.session.judge(helloOf(rig.peer, session), prove)?.code;
}

test('the first lane carries no proof; each further one does, both ways', () => {
  const dialler = new Rig('dialler', { replaces: 'd'.repeat(32) });
  dialler.dial();
  assert.deepEqual(helloSession(dialler), { id: ID, epoch: 1, replaces: 'd'.repeat(32) });
  dialler.feed(helloFrame(dialler.peer));
  assert.equal(dialler.dial(), 2);
  const proof = prove(SECRET, 2, 'dialler');
  assert.deepEqual(helloSession(dialler), { id: ID, epoch: 2, proof });
  const acceptor = established('acceptor');
  const hello = helloOf(acceptor.peer, { id: ID, epoch: 2, proof });
  assert.equal(acceptor.session.judge(hello, prove), undefined);
  acceptor.lane = acceptor.session.admit(acceptor.nowMs, hello, prove);
  assert.deepEqual(helloSession(acceptor), {
    id: ID,
    epoch: 2,
    proof: prove(SECRET, 2, 'acceptor'),
  });
});

test('epochs rise with every lane, those that fail too', () => {
  const rig = established('dialler');
  assert.equal(rig.dial(), 2);
  rig.lose();
  assert.equal(rig.dial(), 3);
  assert.equal(rig.join(), 4);
});

const WRONG_PROOFS: readonly { name: string; proof: string | undefined }[] = [
  { name: 'no proof', proof: undefined },
  { name: 'a proof of another secret', proof: prove('f'.repeat(64), 2, 'dialler') },
  { name: 'a proof for another epoch', proof: prove(SECRET, 3, 'dialler') },
  { name: 'the proof of the other end', proof: prove(SECRET, 2, 'acceptor') },
  { name: 'the secret itself', proof: SECRET },
];

for (const { name, proof } of WRONG_PROOFS) {
  test(`${name}: the acceptor refuses the lane, and nothing changes`, () => {
    const rig = established('acceptor');
    const session = { id: ID, epoch: 2, ...(proof !== undefined && { proof }) };
    assert.equal(judged(rig, session), 'not-authorized');
    assert.equal(judged(rig, rig.proven(2)), undefined, 'its epoch was not used up');
    assert.deepEqual(rig.kinds(), []);
  });
}

for (const proof of [undefined, prove(SECRET, 2, 'dialler'), prove(SECRET, 3, 'acceptor')]) {
  test(`the dialler gives up a lane answered with ${proof?.slice(0, 8) ?? 'no proof'}, alone`, () => {
    const rig = established('dialler');
    const lane = rig.dial();
    rig.sent();
    const session = { id: ID, epoch: lane, ...(proof !== undefined && { proof }) };
    rig.feed(helloFrame(rig.peer, session));
    const { code, last } = rig.laneClosed();
    assert.equal(code, 'not-authorized');
    const { code: said, reason } = parseClose(last.at(-1)!.payload);
    assert.deepEqual(
      [said, reason],
      ['lane-done', 'the peer does not know the secret of the session'],
    );
    assert.deepEqual([rig.session.established, rig.session.laneCount], [true, 1]);
  });
}

test('an answer for another session ends the lane, not the session', () => {
  const rig = established('dialler');
  rig.dial();
  rig.feed(helloFrame(rig.peer, { ...rig.proven(2), id: 'e'.repeat(32) }));
  assert.equal(rig.laneClosed().reason, 'the peer answered for another session');
  assert.ok(rig.session.established);
});

test('no epoch joins twice, however many lanes came since', () => {
  const rig = established('acceptor');
  for (let epoch = 2; epoch <= 70; epoch++) {
    assert.equal(judged(rig, rig.proven(1)), 'stale-epoch');
    assert.equal(judged(rig, rig.proven(epoch - 1)), 'stale-epoch');
    rig.join();
  }
  const { reason } = rig.session.judge(helloOf(rig.peer, rig.proven(70)), prove)!;
  assert.equal(reason, `epoch 70 of session ${ID} is over, the latest is 70`);
});

test('lanes dialled at once may overtake one another, by fewer than 64 epochs', () => {
  const rig = established('acceptor');
  const hello = helloOf(rig.peer, rig.proven(65));
  rig.session.admit(rig.nowMs, hello, prove);
  assert.equal(judged(rig, rig.proven(2)), undefined);
  assert.equal(judged(rig, rig.proven(1)), 'stale-epoch');
  rig.session.admit(rig.nowMs, helloOf(rig.peer, rig.proven(2)), prove);
  assert.deepEqual(
    rig.session.lanes().map(({ lane }) => lane),
    [1, 65, 2],
  );
  assert.equal(judged(rig, rig.proven(2)), 'stale-epoch');
});

test('a lane that the dialler has lost does not join when its HELLO comes late', () => {
  const rig = established('acceptor');
  rig.feed(
    resumeFrame((writer) => {
      writer.opened(0, 0);
      writer.dead(2);
      writer.dead(1_000_000);
    }),
  );
  assert.equal(judged(rig, rig.proven(2)), 'stale-epoch');
  assert.equal(judged(rig, rig.proven(3)), undefined);
});

test('a session that has ended takes no lane', () => {
  const rig = established('acceptor');
  rig.session.close(rig.nowMs, 'shutdown', 'good night');
  assert.equal(judged(rig, rig.proven(2)), 'unknown-session');
});

test('a session the acceptor does not know ends at the dialler, further lanes and all', () => {
  const rig = established('dialler');
  rig.dial();
  rig.feed(frame((writer) => writer.close('unknown-session', 'it is gone')));
  assert.deepEqual(rig.kinds(), ['lane-closed', 'lane-closed', 'closed']);
  assert.ok(rig.session.closed);
});

for (const code of ['not-authorized', 'stale-epoch', 'shutdown', 'protocol-error'] as const) {
  test(`a further lane that is refused with ${code} leaves the session alone`, () => {
    const rig = established('dialler');
    rig.dial();
    rig.feed(frame((writer) => writer.close(code, 'not this one')));
    const closed = rig.laneClosed();
    assert.deepEqual([closed.code, closed.remote], [code, true]);
    assert.equal(rig.session.laneCount, 1);
  });
}

test('a further lane that is not answered in time is given up, and the acceptor told so', () => {
  const pair = new Pair();
  const { dialler, acceptor } = pair;
  const lane = dialler.dial();
  pair.pass(9_999);
  acceptor.session.admit(acceptor.nowMs, helloOf(acceptor.peer, acceptor.proven(lane)), prove);
  acceptor.lane = lane;
  dialler.pass(1);
  const { code, last } = dialler.laneClosed();
  assert.equal(code, 'handshake-timeout');
  assert.equal(last[0]!.type, FrameType.HELLO);
  const said = parseClose(last.at(-1)!.payload);
  acceptor.feed(frame((writer) => writer.close(said.code, said.reason)));
  assert.equal(acceptor.laneClosed().code, 'lane-done');
  assert.ok(acceptor.session.established, 'although the lane was established there');
});

test('a dialler keeps the secret of the first answer only', () => {
  const joining = new LaneAdmission(sessionOptions('dialler'));
  joining.next(prove);
  assert.equal(joining.judgeAnswer({ id: ID, epoch: 1, secret: SECRET }, 1, prove), undefined);
  const forged = { id: ID, epoch: 2, secret: 'f'.repeat(64), proof: prove(SECRET, 2, 'acceptor') };
  joining.next(prove);
  assert.equal(joining.judgeAnswer(forged, 2, prove), undefined);
  assert.equal(joining.next(prove).proof, prove(SECRET, 3, 'dialler'));
});
