import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import { parseReset } from '../../../../packages/proto/src/wire/payload.ts';
import type { ResumeWriter } from '../../../../packages/proto/src/wire/resume.ts';
import { resumeFrame, resumeStream } from '../../../support/session/frames.ts';
import { has, threeStreams } from './resume-rig.ts';

const MISMATCHES: readonly { name: string; changes: Parameters<typeof resumeStream>[1] }[] = [
  { name: 'more received than was sent', changes: { received: 1_001 } },
  { name: 'more delivered than received', changes: { received: 500, delivered: 501 } },
  {
    name: 'less credit than was delivered',
    changes: { received: 500, delivered: 500, limit: 499 },
  },
  { name: 'a FIN that was not sent', changes: { received: 1_000, finReceived: true } },
  { name: 'a FIN delivered and not received', changes: { finDelivered: true } },
  {
    name: 'a FIN delivered before its last byte',
    changes: { received: 1_000, delivered: 999, finReceived: true, finDelivered: true },
  },
];

for (const { name, changes } of MISMATCHES) {
  test(`${name}: that stream is reset, and no other`, () => {
    const rig = threeStreams();
    if (name.startsWith('a FIN delivered')) rig.session.end(3);
    rig.sent();
    rig.lose();
    rig.add();
    rig.feed(
      resumeFrame((writer) => {
        writer.opened(5, 0);
        has(1, 1_000)(writer);
        writer.stream(resumeStream(3, changes));
        has(5, 1_000)(writer);
      }),
    );
    const [event, ...more] = rig.events();
    assert.equal(more.length, 0);
    assert.ok(event?.kind === 'reset' && event.stream === 3);
    assert.equal(event.code, 'resume-mismatch');
    const reset = rig.sent().find((each) => each.type === FrameType.RESET)!;
    assert.deepEqual([reset.stream, reset.offset], [3, 1_000]);
    assert.deepEqual(parseReset(reset.payload), { code: 'resume-mismatch', reason: event.reason });
    assert.deepEqual([rig.session.streamCount, rig.session.closed], [2, false]);
  });
}

test('a stream that is not stale is left alone, whatever a record says', () => {
  const rig = threeStreams();
  rig.feed(
    resumeFrame((writer) => {
      writer.opened(5, 0);
      writer.stream(resumeStream(1, { received: 999_999 }));
    }),
  );
  assert.deepEqual([rig.kinds(), rig.said()], [[], []]);
});

const VIOLATIONS: readonly {
  name: string;
  reason: RegExp;
  tell: (writer: ResumeWriter) => void;
}[] = [
  { name: 'an empty set', reason: /without its first record/, tell: () => {} },
  { name: 'a lane first', reason: /without its first record/, tell: (w) => w.dead(7) },
  { name: 'an id first', reason: /without its first record/, tell: (w) => w.seen(1) },
  { name: 'a stream first', reason: /without its first record/, tell: has(1, 0) },
  { name: 'an end first', reason: /without its first/, tell: (w) => w.ended(1, undefined) },
  {
    name: 'two beginnings',
    reason: /two first records/,
    tell: (writer) => {
      writer.opened(5, 0);
      writer.opened(5, 0);
    },
  },
  {
    name: 'more seen than opened',
    reason: /stream 7 was never opened/,
    tell: (w) => w.opened(7, 0),
  },
  {
    name: 'an id seen that was not opened',
    reason: /stream 7 was never opened/,
    tell: (writer) => {
      writer.opened(5, 0);
      writer.seen(7);
    },
  },
  {
    name: 'an id seen that is not of this side',
    reason: /stream 2 was never opened/,
    tell: (writer) => {
      writer.opened(5, 2);
      writer.seen(2);
    },
  },
  ...[
    { name: 'a stream of id 0', id: 0, opened: 0 },
    { name: 'a stream of this side that was never opened', id: 99, opened: 0 },
    { name: 'a stream of the peer beyond what it has opened', id: 6, opened: 4 },
  ].flatMap(({ name, id, opened }) => [
    {
      name,
      reason: new RegExp(`stream ${id} was never opened`),
      tell: (writer: ResumeWriter) => {
        writer.opened(5, opened);
        writer.stream(resumeStream(id));
      },
    },
    {
      name: `the end of ${name}`,
      reason: new RegExp(`stream ${id} was never opened`),
      tell: (writer: ResumeWriter) => {
        writer.opened(5, opened);
        writer.ended(id, 'cancelled');
      },
    },
  ]),
  {
    name: 'lane 0 lost',
    reason: /lane 0, which no session has/,
    tell: (writer) => {
      writer.opened(5, 0);
      writer.dead(0);
    },
  },
  {
    name: 'its own lane lost',
    reason: /a lane says that it is lost/,
    tell: (writer) => {
      writer.opened(5, 0);
      writer.dead(1);
    },
  },
];

for (const { name, reason, tell } of VIOLATIONS) {
  test(`a RESUME with ${name} breaks the protocol`, () => {
    const rig = threeStreams();
    rig.feed(resumeFrame(tell));
    const closed = rig.closed();
    assert.equal(closed.code, 'protocol-error');
    assert.match(closed.reason, /^resume: /);
    assert.match(closed.reason, reason);
  });
}
