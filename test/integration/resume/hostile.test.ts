import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { dialLane } from '../../../packages/link/src/transport/dial.ts';
import type { TlsCredentials } from '../../../packages/link/src/transport/lane.ts';
import { parseAddress, type TcpAddress } from '../../../packages/proto/src/base/address.ts';
import type { LaneCode } from '../../../packages/proto/src/wire/codes.ts';
import { FrameType, HEADER_BYTES } from '../../../packages/proto/src/wire/layout.ts';
import { type Hello, parseClose } from '../../../packages/proto/src/wire/payload.ts';
import { concat, frame, type ReadFrame, readFrames } from '../../support/session/frames.ts';
import {
  assertUnharmed,
  counted,
  FABRIC,
  type HostileLab,
  lanesUp,
  sessionOf,
  startHostileLab,
  untilMore,
} from './hostile-lab.ts';
import { startLaneRelay } from './lane-relay.ts';
import { credentials, LabNode, LISTEN } from '../../support/nodes/node-lab.ts';
import { until } from '../../support/sockets/loopback.ts';

/** A lane that is refused is closed within the handshake's time. */
const REFUSED_MS_MAX = 10_000;

/** Of a recording; all that a resume has to say is in there. */
const SAID_BYTES = 64 * 1024;

interface Resumed extends HostileLab {
  /** What red said on the lane that resumed the session. */
  readonly recording: Uint8Array;
}

/** A session that has been resumed, with a busy stream, and everything that was said on the way. */
async function resumed(t: TestContext): Promise<Resumed> {
  const lab = await startHostileLab(t, { lanes: 1, streams: 1 });
  const { lanes, streams, gray } = lab;
  lanes.cut();
  await until('the session is resumed', () => gray.events().includes('session-resumed'));
  await untilMore(streams[0]!, 300_000);
  const recording = lanes.recording(lanes.laneId).slice(0, SAID_BYTES);
  const types = readWhole([recording]).map(({ type }) => type);
  assert.deepEqual([types[0], types.includes(FrameType.RESUME)], [FrameType.HELLO, true]);
  return { ...lab, recording };
}

/** What gray does about one lane that is no good. */
interface Verdict {
  readonly code: LaneCode;
  readonly reason: RegExp;
}

/**
 * Gray ends the lane, says why to its peer, its log and its metrics, and gives nothing away; the
 * session and its stream go on as if nothing had happened.
 */
async function assertRefused(
  lab: HostileLab,
  say: () => Promise<readonly ReadFrame[]>,
  { code, reason }: Verdict,
): Promise<void> {
  const { gray, streams } = lab;
  const counter = `routy_refusals_total{reason="${code}"}`;
  const before = { session: sessionOf(gray), refusals: await counted(gray, counter) };
  const logged = gray.lines.length;
  const startMs = performance.now();
  const heard = await say();
  assert.ok(performance.now() - startMs < REFUSED_MS_MAX, 'the lane was not refused but forgotten');
  for (const { type, payload } of heard) {
    if (type === FrameType.CLOSE) continue;
    // Two nodes that cannot agree tell each other what they are, and no more.
    assert.equal(type, FrameType.HELLO, 'nothing of the session is given away');
    const { session } = JSON.parse(new TextDecoder().decode(payload)) as Hello;
    assert.deepEqual(Object.keys(session).sort(), ['epoch', 'id']);
  }
  const close = heard.filter(({ type }) => type === FrameType.CLOSE);
  assert.deepEqual(
    close.map(({ payload }) => parseClose(payload).code),
    [code],
  );
  const lines = gray.lines.slice(logged).filter(({ event }) => event === 'lane-refused');
  assert.deepEqual(
    lines.map(({ level, code: said }) => [level, said]),
    [['warn', code]],
  );
  assert.match(String(lines[0]!.reason), reason);
  assert.equal(await counted(gray, counter), before.refusals + 1);
  assert.equal(sessionOf(gray), before.session);
  await assertUnharmed(streams[0]!);
  assert.equal(sessionOf(gray), before.session);
}

/** Somebody with `papers` says `bytes` to gray on a lane of his own, and hears until it ends. */
async function sayTo(
  gray: LabNode,
  papers: TlsCredentials,
  bytes: Uint8Array,
): Promise<ReadFrame[]> {
  const address = parseAddress(gray.lanes) as TcpAddress;
  const lane = await dialLane({ address, credentials: papers });
  const heard: Uint8Array[] = [];
  await new Promise<void>((resolve) => {
    lane.bind({
      onData: (chunk) => heard.push(chunk),
      onDrain: () => {},
      onClose: () => resolve(),
    });
    lane.write([bytes]);
  });
  return readWhole(heard);
}

/** What was received, without a frame that is cut at the end. */
function readWhole(pieces: readonly Uint8Array[]): ReadFrame[] {
  const bytes = concat(pieces);
  const view = new DataView(bytes.buffer);
  let end = 0;
  for (let next = 0; next <= bytes.length; ) {
    end = next;
    next += HEADER_BYTES + (next + HEADER_BYTES <= bytes.length ? view.getUint32(next + 4) : 0);
  }
  return readFrames([bytes.subarray(0, end)]);
}

/** What gray is told, given what red has said, and what it does about it. */
interface Attack {
  readonly papers?: { readonly site: string; readonly node: string };
  readonly change?: (hello: Hello) => Hello;
  readonly verdict: Verdict;
}

/** The same with another HELLO. */
function withHello(bytes: Uint8Array, change: (hello: Hello) => Hello): Uint8Array {
  const helloBytes = HEADER_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
  const [hello] = readFrames([bytes.slice(0, helloBytes)]);
  const said = JSON.parse(new TextDecoder().decode(hello!.payload)) as Hello;
  const changed = frame((writer) => writer.json(FrameType.HELLO, 0, 0, change(said)));
  return concat([changed, bytes.slice(helloBytes)]);
}

/** Another session part; the lane is one that is due. */
function withSession(change: (session: Hello['session']) => Hello['session']) {
  return (hello: Hello): Hello => {
    const { session } = hello;
    return { ...hello, session: change({ ...session, epoch: session.epoch + 1 }) };
  };
}

const newer = withSession((session) => session);
const STALE: Verdict = { code: 'stale-epoch', reason: /^epoch 2 of session \w+ is .* 2\b/ };
const NO_SECRET: Verdict = { code: 'not-authorized', reason: /does not know the secret/ };
const NOT_HIS: Verdict = { code: 'not-authorized', reason: /belongs to another process/ };
const RED1 = { site: 'red', node: 'red1' };
const RED2 = { site: 'red', node: 'red2' };

const ATTACKS: Readonly<Record<string, Attack>> = {
  'a recorded resume that is said again is refused': { verdict: STALE },
  'a recorded resume with a newer epoch is refused': { change: newer, verdict: NO_SECRET },
  'a recorded resume by another key of the same node is refused': { papers: RED1, verdict: STALE },
  'a newer one by another key of the same node is refused': {
    papers: RED1,
    change: newer,
    verdict: NO_SECRET,
  },
  'a recorded resume by another node is refused': {
    papers: RED2,
    verdict: { code: 'identity-mismatch', reason: /red1.* certificate says .*red2/ },
  },
  'a resume by another node in its own name is refused': {
    papers: RED2,
    change: (hello) => ({ ...newer(hello), node: 'red2' }),
    verdict: NOT_HIS,
  },
  'a resume by another process of the same node is refused': {
    change: (hello) => ({ ...newer(hello), instance: '5'.repeat(32) }),
    verdict: NOT_HIS,
  },
  'a lane of a session without a proof is refused': {
    change: withSession(({ id, epoch }) => ({ id, epoch })),
    verdict: NO_SECRET,
  },
  'a lane of a session that nobody knows is refused': {
    change: withSession((session) => ({ ...session, id: '5'.repeat(32) })),
    verdict: { code: 'unknown-session', reason: /no session 5{32} here/ },
  },
};

for (const [name, { papers, change, verdict }] of Object.entries(ATTACKS)) {
  test(name, async (t) => {
    const lab = await resumed(t);
    const by = papers === undefined ? lab.papers : await credentials(papers.site, papers.node);
    const bytes = withHello(lab.recording, change ?? ((hello) => hello));
    await assertRefused(lab, () => sayTo(lab.gray, by, bytes), verdict);
  });
}

test('a dialler that knows the secret and does not wait for the answer is refused', async (t) => {
  const lab = await startHostileLab(t, { lanes: 2, streams: 1 });
  const { gray, red, lanes } = lab;
  const { laneId } = lanes;
  const say = async (): Promise<ReadFrame[]> => {
    const ping = frame((writer) => writer.ping(1, 1));
    lanes.lie(FrameType.HELLO, (_hello, bytes) => concat([bytes, ping]));
    lanes.cut(laneId);
    await until('red is told', () => red.lines.some(({ event }) => event === 'dial-failed'));
    const told = red.lines.find(({ event }) => event === 'dial-failed')!;
    return [closeFrame(told.code as LaneCode)];
  };
  const reason = /frames came before the answer to HELLO/;
  await assertRefused(lab, say, { code: 'protocol-error', reason });
  await until('another lane is taken', () => lanesUp(gray) === 2);
});

function closeFrame(code: LaneCode): ReadFrame {
  return readFrames([frame((writer) => writer.close(code, ''))])[0]!;
}

test("a node cannot put a session of its own in place of another node's", async (t) => {
  const lab = await resumed(t);
  const { gray, lanes, streams } = lab;
  const before = sessionOf(gray);
  const replacing = withHello(lanes.recording(2), (hello) => {
    const session = { id: '5'.repeat(32), epoch: 1, replaces: hello.session.id };
    return { ...hello, node: 'red2', session };
  });
  const [hello] = readWhole([replacing]);
  const bytes = replacing.slice(0, HEADER_BYTES + hello!.payload.length);
  const address = parseAddress(gray.lanes) as TcpAddress;
  const lane = await dialLane({ address, credentials: await credentials('red', 'red2') });
  t.after(() => lane.destroy());
  lane.bind({ onData: () => {}, onDrain: () => {}, onClose: () => {} });
  lane.write([bytes]);
  await until('red2 has a session', () => gray.peer('red/red2')?.state === 'up');
  assert.equal(sessionOf(gray), before);
  await assertUnharmed(streams[0]!);
});

test('who stands between the nodes with the keys of both cannot resume their session', async (t) => {
  const [redPapers, grayPapers] = [await credentials('red'), await credentials('gray')];
  const fabric = `${FABRIC}resume_time = "600ms"\n`;
  const gray = await LabNode.start(grayPapers, `${LISTEN}${fabric}`, '100ms');
  t.after(() => gray.stop());
  const target = parseAddress(gray.lanes) as TcpAddress;
  const relay = await startLaneRelay({ dialler: redPapers, listener: grayPapers, target });
  t.after(() => relay.close());
  const peer = `[[peer]]\naddress = "${relay.address.host}:${relay.address.port}"\nlanes = 1\n`;
  const red = await LabNode.start(redPapers, `${peer}${fabric}`, '100ms');
  t.after(() => red.stop());
  await until('the session is up', () => red.peer()?.state === 'up');
  relay.cut();
  const refused = (): boolean =>
    gray.lines.some(
      ({ event, code, level }) =>
        event === 'lane-refused' && code === 'not-authorized' && level === 'warn',
    );
  await until('the lane is refused', refused);
  await until('the session is given up', () => red.events().includes('session-down'));
  assert.ok((await counted(gray, 'routy_refusals_total{reason="not-authorized"}')) > 0);
  assert.ok(!red.events().includes('session-resumed'), 'the session was resumed');
  assert.ok(!gray.events().includes('session-resumed'), 'the session was resumed');
});
