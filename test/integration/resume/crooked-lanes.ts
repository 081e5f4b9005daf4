import { startSession } from '../../../packages/link/src/driver/session-driver.ts';
import type { SessionFactory } from '../../../packages/link/src/peers/process-sessions.ts';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import { type FrameType, HEADER_BYTES } from '../../../packages/proto/src/wire/layout.ts';
import { concat, type ReadFrame, readFrames } from '../../support/session/frames.ts';

/** Most bytes kept of one lane: a session begins long before that. */
const RECORDED_BYTES_MAX = 1024 * 1024;

/** What is said in place of a frame, whose bytes are `bytes`. */
export type Lie = (frame: ReadFrame, bytes: Uint8Array) => Uint8Array;

/** One lane that was dialled. */
interface CrookedLane {
  readonly lane: Lane;
  readonly said: Uint8Array[];
}

/**
 * The lanes a node dials, in the hands of an attacker who knows its keys and its secrets: what is
 * said on them is recorded in the clear, and something else may be said instead.
 */
export class CrookedLanes {
  #lie: { readonly type: FrameType; readonly lie: Lie } | undefined;
  /** By lane id, of the session that began last. */
  readonly #lanes = new Map<number, CrookedLane>();

  /** For the node whose lanes they are. */
  readonly sessions: SessionFactory = (options, handlers) => {
    const driver = startSession(options, handlers);
    const dial = driver.dial.bind(driver);
    this.#lanes.clear();
    driver.dial = (link) => {
      const laneId = dial(link);
      this.#take(link.lane, laneId);
      return laneId;
    };
    return driver;
  };

  /** Of the lane that was dialled last. */
  get laneId(): number {
    return Math.max(0, ...this.#lanes.keys());
  }

  /** What was said on a lane, from its beginning. */
  recording(laneId: number): Uint8Array {
    return concat(this.#lanes.get(laneId)!.said);
  }

  /** Tells a lie in place of the next frame of a type. */
  lie(type: FrameType, lie: Lie): void {
    this.#lie = { type, lie };
  }

  /** Ends a lane at once, or all. */
  cut(laneId?: number): void {
    for (const [each, { lane }] of this.#lanes) if (each === (laneId ?? each)) lane.destroy();
  }

  /** Nothing is written before the round of the event loop in which it was dialled is over. */
  #take(lane: Lane, laneId: number): void {
    const said: Uint8Array[] = [];
    const write = lane.write.bind(lane);
    let bytes = 0;
    lane.write = (buffers) => {
      const wanted = this.#changed(buffers);
      if (bytes < RECORDED_BYTES_MAX) said.push(concat(wanted));
      for (const { length } of wanted) bytes += length;
      return write(wanted);
    };
    this.#lanes.set(laneId, { lane, said });
  }

  /** A session writes whole frames. */
  #changed(buffers: readonly Uint8Array[]): readonly Uint8Array[] {
    if (this.#lie === undefined) return buffers;
    const bytes = concat(buffers);
    let at = 0;
    return readFrames([bytes]).map((frame) => {
      const from = at;
      at += HEADER_BYTES + frame.payload.length;
      const truth = bytes.subarray(from, at);
      if (frame.type !== this.#lie?.type) return truth;
      const { lie } = this.#lie;
      this.#lie = undefined;
      return lie(frame, truth);
    });
  }
}
