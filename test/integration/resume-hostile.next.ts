import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TcpAddress } from '../../src/base/address.ts';
import { parseAddress } from '../../src/base/address.ts';
import { dialLane } from '../../src/transport/dial.ts';
import type { TlsCredentials } from '../../src/transport/lane.ts';
import { FrameType } from '../../src/wire/layout.ts';
import type { Hello } from '../../src/wire/payload.ts';
import { concat, frame, readFrames } from '../support/frames.ts';
import {
  acceptedExchanges,
  closeExchanges,
  exchangeProgress,
  finishExchange,
  serveExchange,
  startExchange,
} from '../support/tcp-tools-exchange.ts';
import { LaneRecorder } from './lane-recorder.ts';
import { startLaneRelay } from './lane-relay.ts';
import { credentials, forward, LabNode, LISTEN, peerTo, service } from './node-lab.ts';
import { until } from './node-support.ts';
import { assertWhole, type Ends } from './resume-lab.ts';

const ENDLESS = Number.MAX_SAFE_INTEGER;
const BYTES_PER_SECOND = 1_000_000;
const FABRIC = '[fabric]\nheartbeat_interval = "100ms"\nheartbeat_misses = 5\n';
/** A lane that is refused is closed within the handshake's time. */
const REFUSED_MS_MAX = 10_000;

/** A session that has been resumed, with a busy stream, and everything that was said on the way. */
interface Ground {
  readonly red: LabNode;
  readonly gray: LabNode;
  /** Red's own key and certificate. */
  readonly papers: TlsCredentials;
  readonly ends: Ends;
  /** What red said on a lane that resumed the session. */
  readonly resumed: readonly Uint8Array[];
}

async function ground(t: TestContext): Promise<Ground> {
  const port = await serveExchange({ sendBytes: ENDLESS, bytesPerSecond: BYTES_PER_SECOND });
  t.after(() => closeExchanges({ port }));
  const [redPapers, grayPapers] = [await credentials('red'), await credentials('gray')];
  const gray = await LabNode.start(
    grayPapers,
    `${LISTEN}${forward('127.0.0.1:0', 'red/exchange')}${FABRIC}`,
    '100ms',
  );
  t.after(() => gray.stop());
  const recorder = new LaneRecorder();
  const red = await LabNode.start(
    redPapers,
    `${peerTo(gray)}${service('exchange', `127.0.0.1:${port}`, 'gray')}${FABRIC}`,
    '100ms',
    recorder.sessions,
  );
  t.after(() => red.stop());
  const reached = (await gray.reach('red/exchange')) as TcpAddress;
  const plan = { sendBytes: ENDLESS, bytesPerSecond: BYTES_PER_SECOND };
  const client = await startExchange({ ...plan, host: reached.host, port: reached.port });
  await until('the target has it', () => acceptedExchanges({ port }).length === 1);
  const ends = { client, server: acceptedExchanges({ port })[0]! };
  await untilMore(ends, 100_000);
  const lanes = recorder.recordings.length;
  recorder.cut();
  await until('a lane resumes', () => recorder.recordings.length > lanes);
  await untilMore(ends, 300_000);
  return { red, gray, papers: redPapers, ends, resumed: recorder.recordings[lanes]! };
}

/** Waits until more bytes have come at both ends. */
async function untilMore(ends: Ends, bytes: number): Promise<void> {
  const at = [ends.client, ends.server].map((handle) => ({
    handle,
    goal: exchangeProgress({ handle }).received + bytes,
  }));
  for (const { handle, goal } of at) {
    await until('more bytes come', () => {
      const { received, outcome } = exchangeProgress({ handle });
      if (outcome !== null) throw new Error(`the stream ended: ${outcome}`);
      return received >= goal;
    });
  }
}

/**
 * Somebody with `papers` says `bytes` to gray: gray ends that lane, says so in its log and its
 * metrics, and the session and its stream go on as if nothing had happened.
 */
async function assertRefused(
  lab: Ground,
  papers: TlsCredentials,
  bytes: Uint8Array,
): Promise<void> {
  const { gray, ends } = lab;
  const before = { session: sessionOf(gray), refusals: await refusals(gray) };
  const logged = gray.lines.length;
  const address = parseAddress(gray.lanes) as TcpAddress;
  const lane = await dialLane({ address, credentials: papers });
  const heard: Uint8Array[] = [];
  const startMs = performance.now();
  const closed = new Promise<void>((resolve) => {
    lane.bind({
      onData: (chunk) => heard.push(chunk),
      onDrain: () => {},
      onClose: () => resolve(),
    });
  });
  lane.write([bytes]);
  await closed;
  assert.ok(performance.now() - startMs < REFUSED_MS_MAX, 'the lane was not refused but forgotten');
  const data = readWhole(heard).filter(({ type }) => type === FrameType.DATA);
  assert.deepEqual(data, [], 'bytes of the stream were given away');
  const lines = gray.lines.slice(logged).filter(({ level }) => level === 'warn');
  assert.ok(lines.length > 0, 'nothing was logged');
  assert.ok((await refusals(gray)) > before.refusals, 'nothing was counted');
  assert.equal(sessionOf(gray), before.session);
  await untilMore(ends, 200_000);
  for (const handle of [ends.client, ends.server]) finishExchange({ handle });
  const [up, down] = [ends.client, ends.server].map((handle) => exchangeProgress({ handle }).sent);
  await assertWhole(ends, { up: up!, down: down! });
}

/** What was received, without a frame that is cut at the end. */
function readWhole(pieces: readonly Uint8Array[]): ReturnType<typeof readFrames> {
  const bytes = concat(pieces);
  const view = new DataView(bytes.buffer);
  let end = 0;
  while (end + 24 <= bytes.length && end + 24 + view.getUint32(end + 4) <= bytes.length) {
    end += 24 + view.getUint32(end + 4);
  }
  return readFrames([bytes.subarray(0, end)]);
}

function sessionOf(gray: LabNode): string | undefined {
  return gray.peer('red/red1')?.session?.id;
}

async function refusals(gray: LabNode): Promise<number> {
  const lines = (await gray.metrics.text()).split('\n');
  return lines
    .filter((line) => line.startsWith('routy_refusals_total'))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** The first bytes of a recording, up to `bytes`. */
function beginning(recording: readonly Uint8Array[], bytes = 64 * 1024): Uint8Array {
  return concat(recording).slice(0, bytes);
}

/** The same with another HELLO. */
function withHello(bytes: Uint8Array, change: (hello: Hello) => Hello): Uint8Array {
  const helloBytes = 24 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
  const [hello] = readFrames([bytes.slice(0, helloBytes)]);
  assert.equal(hello?.type, FrameType.HELLO);
  const said = JSON.parse(new TextDecoder().decode(hello.payload)) as Hello;
  const changed = frame((writer) => writer.json(FrameType.HELLO, 0, 0, change(said)));
  return concat([changed, bytes.slice(helloBytes)]);
}

test('a recorded resume that is said again is refused', async (t) => {
  const lab = await ground(t);
  await assertRefused(lab, lab.papers, beginning(lab.resumed));
});

test('a recorded resume with a newer epoch is refused: it does not know the secret', async (t) => {
  const lab = await ground(t);
  const bytes = withHello(beginning(lab.resumed), (hello) => ({
    ...hello,
    session: { ...hello.session, epoch: hello.session.epoch + 5 },
  }));
  await assertRefused(lab, lab.papers, bytes);
});

test('a recorded resume by another certificate of the same node is refused', async (t) => {
  const lab = await ground(t);
  await assertRefused(lab, await credentials('red'), beginning(lab.resumed));
});

test('a recorded resume by another node is refused', async (t) => {
  const lab = await ground(t);
  await assertRefused(lab, await credentials('red', 'red2'), beginning(lab.resumed));
});

test('a resume by another node in its own name is refused', async (t) => {
  const lab = await ground(t);
  const bytes = withHello(beginning(lab.resumed), (hello) => ({
    ...hello,
    node: 'red2',
    session: { ...hello.session, epoch: hello.session.epoch + 5 },
  }));
  await assertRefused(lab, await credentials('red', 'red2'), bytes);
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
    gray.lines.some(({ event, code }) => event === 'lane-refused' && code === 'not-authorized');
  await until('the lane is refused', refused);
  await until('the session is given up', () => red.events().includes('session-down'));
});
