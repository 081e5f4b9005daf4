import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { LaneCode } from '../../../packages/proto/src/wire/codes.ts';
import { FLAG_RESUME_LAST, FrameType } from '../../../packages/proto/src/wire/layout.ts';
import {
  type ResumeSink,
  type ResumeStream,
  ResumeWriter,
  readResume,
} from '../../../packages/proto/src/wire/resume.ts';
import { concat, dataFrame, frame } from '../../support/session/frames.ts';
import type { Lie } from './crooked-lanes.ts';
import { assertUnharmed, counted, sessionOf, startHostileLab } from './hostile-lab.ts';
import { until } from '../../support/sockets/loopback.ts';
import { assertReset } from './resume-lab.ts';

/** Gray accepts red's lanes, so its first stream is 2. */
const STREAM = 2;
/** More than anybody ever sends. */
const FAR = 2 ** 40;
const MISMATCHES = 'routy_refusals_total{reason="resume-mismatch"}';
const lanesLost = (code: LaneCode) => `routy_lanes_lost_total{code="${code}"}`;

/** A set of records, from the set that a node would have said. */
type Rewrite = (resume: ResumeWriter, truth: ResumeSink) => Partial<ResumeSink>;

function resumeWith(rewrite: Rewrite): Lie {
  return ({ payload }) =>
    frame((writer) => {
      const resume = new ResumeWriter(writer);
      const truth: ResumeSink = {
        opened: (seen, opened) => resume.opened(seen, opened),
        dead: (laneId) => resume.dead(laneId),
        seen: (id) => resume.seen(id),
        stream: (entry) => resume.stream(entry),
        ended: (id, code) => resume.ended(id, code),
      };
      readResume(payload, { ...truth, ...rewrite(resume, truth) });
      resume.end();
    });
}

/** Tells something else of the one stream. */
function tellingOfStream(change: (entry: ResumeStream) => Partial<ResumeStream>): Lie {
  return resumeWith((_resume, truth) => ({
    stream: (entry) => truth.stream(entry.id === STREAM ? { ...entry, ...change(entry) } : entry),
  }));
}

/** Offsets that cannot be true, and what gray says of them. */
const LIES: Readonly<Record<string, { lie: Lie; reason: RegExp }>> = {
  'received is beyond what was sent': {
    lie: tellingOfStream(() => ({ received: FAR })),
    reason: /^received 1099511627776, sent \d+ in a RESUME$/,
  },
  'delivered is above received': {
    lie: tellingOfStream(({ received }) => ({ delivered: received + 1 })),
    reason: /^delivered \d+, received \d+ in a RESUME$/,
  },
  'a FIN is received that was never sent': {
    lie: tellingOfStream(() => ({ finReceived: true })),
    reason: /^FIN received at \d+, sent \d+ and no FIN in a RESUME$/,
  },
  'a FIN is delivered that was never sent': {
    lie: tellingOfStream(({ received }) => ({
      ...{ finReceived: true, finDelivered: true, delivered: received },
    })),
    reason: /^FIN received at \d+, sent \d+ and no FIN in a RESUME$/,
  },
  'the limit is below delivered': {
    lie: tellingOfStream(({ delivered }) => ({ limit: delivered - 1 })),
    reason: /^limit \d+, delivered \d+ in a RESUME$/,
  },
};

for (const [name, { lie, reason }] of Object.entries(LIES)) {
  test(`a stream of which a RESUME says that ${name} is reset, and no other`, async (t) => {
    const { gray, red, lanes, streams } = await startHostileLab(t, { lanes: 1, streams: 2 });
    const before = sessionOf(gray);
    lanes.lie(FrameType.RESUME, lie);
    lanes.cut();
    await until('gray resets it', () => gray.events().includes('stream-reset'));
    await assertReset(streams[0]!);
    const lines = gray.lines.filter(({ event }) => event === 'stream-reset');
    assert.equal(lines.length, 1);
    const { level, code, peer, stream } = lines[0]!;
    assert.deepEqual(
      { level, code, peer, stream },
      { level: 'warn', code: 'resume-mismatch', peer: 'red/red1', stream: STREAM },
    );
    assert.match(String(lines[0]!.reason), reason);
    assert.equal(await counted(gray, MISMATCHES), 1);
    // The other end is told why its stream is reset.
    assert.equal(await counted(red, MISMATCHES), 1);
    assert.equal(gray.forward('red/exchange').streams, 1);
    await assertUnharmed(streams[1]!);
    assert.equal(sessionOf(gray), before);
  });
}

/** Breaches of the protocol, and what gray says of them. */
const BREACHES: Readonly<Record<string, { lie: Lie; reason: RegExp; code?: LaneCode }>> = {
  'DATA beyond its credit': {
    lie: (_resume, bytes) => concat([bytes, dataFrame(STREAM, FAR, new Uint8Array(100))]),
    reason: /credit/,
  },
  'a RESUME with two first records': {
    lie: resumeWith((resume) => ({
      opened: (seen, opened) => {
        resume.opened(seen, opened);
        resume.opened(seen, opened);
      },
    })),
    reason: /two first records in a set/,
  },
  'a RESUME without its first record': {
    lie: resumeWith(() => ({ opened: () => {} })),
    reason: /a set without its first record/,
  },
  'a RESUME with a record that is cut': {
    lie: ({ payload }) => frame((writer) => writer.resume(FLAG_RESUME_LAST, payload.slice(0, -1))),
    reason: /record of kind \d cut at \d+ of \d+ bytes/,
  },
  'a RESUME with an unknown record': {
    lie: ({ payload }) =>
      frame((writer) => writer.resume(FLAG_RESUME_LAST, concat([payload, Uint8Array.of(99)]))),
    reason: /unknown record kind 99/,
    // As a later version may well say.
    code: 'version-mismatch',
  },
  'a RESUME that has seen a stream never opened': {
    lie: resumeWith((resume) => ({
      opened: (seen, opened) => {
        resume.opened(seen, opened);
        resume.seen(1_000);
      },
    })),
    reason: /stream 1000 was never opened/,
  },
  'a RESUME that has seen all streams up to one never opened': {
    lie: resumeWith((resume) => ({ opened: (_seen, opened) => resume.opened(1_000, opened) })),
    reason: /stream 1000 was never opened/,
  },
};

for (const [name, { lie, reason, code }] of Object.entries(BREACHES)) {
  test(`${name} ends the session`, (t) => endsSession(t, () => lie, reason, code));
}

test('a RESUME that says of its own lane that it is lost ends the session', async (t) => {
  const own = (laneId: number): Lie =>
    resumeWith((resume) => ({
      opened: (seen, opened) => {
        resume.opened(seen, opened);
        resume.dead(laneId);
      },
    }));
  await endsSession(t, own, /a lane says that it is lost/);
});

/** Gray ends the session with `protocol-error`: nothing of it can be trusted any more. */
async function endsSession(
  t: TestContext,
  lieOn: (laneId: number) => Lie,
  reason: RegExp,
  expected: LaneCode = 'protocol-error',
): Promise<void> {
  const { gray, lanes, streams } = await startHostileLab(t, { lanes: 1, streams: 2 });
  const before = sessionOf(gray);
  lanes.lie(FrameType.RESUME, (resume, bytes) => lieOn(lanes.laneId)(resume, bytes));
  lanes.cut();
  await until('the session ends', () => gray.events().includes('session-down'));
  const {
    level,
    code,
    reason: said,
    remote,
  } = gray.lines.find(({ event }) => event === 'session-down')!;
  const facts = { level, code, remote };
  assert.deepEqual(facts, { level: 'warn', code: expected, remote: false });
  assert.match(String(said), reason);
  assert.equal(await counted(gray, lanesLost(expected)), 1);
  for (const ends of streams) await assertReset(ends);
  // A node that is what it should be again is welcome.
  await until('there is another session', () => gray.peer('red/red1')?.state === 'up');
  assert.notEqual(sessionOf(gray), before);
}
