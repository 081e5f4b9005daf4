import { FrameType } from '../../../../packages/proto/src/wire/layout.ts';
import type { ResumeWriter } from '../../../../packages/proto/src/wire/resume.ts';
import {
  acceptFrame,
  frame,
  type ReadFrame,
  resumeFrame,
  resumeStream,
} from '../../../support/session/frames.ts';
import { established, nameOf, open, type Rig } from '../../../support/session/session-rig.ts';

const HEARTBEATS: readonly number[] = [FrameType.PING, FrameType.PONG, FrameType.HELLO];

/** What is sent on the lane that replaces the one lost now, RESUME first; events are taken. */
export function replaceLane(rig: Rig): ReadFrame[] {
  rig.lose();
  rig.join();
  rig.events();
  return frames(rig);
}

export function frames(rig: Rig, lane?: number): ReadFrame[] {
  return rig.sent(undefined, lane).filter((each) => !HEARTBEATS.includes(each.type));
}

/** Names and offsets: `DATA 1 @ 500`. */
export function offsets(sent: readonly ReadFrame[]): string[] {
  return sent.map((each) => `${nameOf(each)} @ ${each.offset}`);
}

/** The peer's RESUME; it has seen, and opened, all ids up to these. */
export function peerResumes(
  rig: Rig,
  ids: [number, number],
  tell?: (writer: ResumeWriter) => void,
): void {
  rig.feed(
    resumeFrame((writer) => {
      writer.opened(...ids);
      tell?.(writer);
    }),
  );
}

export function bytes(from: number, to: number): Uint8Array {
  return Uint8Array.from({ length: to - from }, (_, i) => (from + i) % 251);
}

/** A dialler's open stream 1 that has sent 1000 bytes, of which the peer has delivered 200. */
export function sending(): Rig {
  const rig = established('dialler');
  open(rig);
  rig.feed(acceptFrame(1, 100_000));
  rig.session.write(rig.nowMs, 1, bytes(0, 1_000));
  rig.sent();
  rig.feed(frame((writer) => writer.credit(1, 100_000, 200, 0)));
  rig.events();
  return rig;
}

export function nameAll(sent: readonly ReadFrame[]): string[] {
  return sent.map(nameOf);
}

/** A dialler with open streams 1, 3, 5 that have each sent 1000 bytes. */
export function threeStreams(): Rig {
  const rig = established('dialler');
  for (const id of [1, 3, 5]) {
    open(rig);
    rig.feed(acceptFrame(id, 100_000));
    rig.session.write(rig.nowMs, id, new Uint8Array(1_000));
  }
  rig.sent();
  rig.events();
  return rig;
}

/** The peer has all of the stream up to there, received and delivered. */
export const has = (id: number, received: number) => (writer: ResumeWriter) =>
  writer.stream(resumeStream(id, { received, delivered: received }));
