import { startSession } from '../../src/node/session-driver.ts';
import type { SessionFactory } from '../../src/node/session-host.ts';
import type { Lane } from '../../src/transport/lane.ts';

/** Most bytes kept of one lane: a session begins long before that. */
const RECORDED_BYTES_MAX = 1024 * 1024;

/** What a node says on the lanes it dials, in the clear: for an attacker who knows all of it. */
export class LaneRecorder {
  /** What was said on each lane, in the order they were dialled. */
  readonly recordings: Uint8Array[][] = [];
  readonly #lanes = new Set<Lane>();

  /** For the node that is to be recorded. */
  readonly sessions: SessionFactory = (options, handlers) => {
    const driver = startSession(options, handlers);
    const dial = driver.dial.bind(driver);
    driver.dial = (link) => {
      this.#record(link.lane);
      return dial(link);
    };
    return driver;
  };

  /** Ends every lane at once. */
  cut(): void {
    for (const lane of this.#lanes) lane.destroy();
    this.#lanes.clear();
  }

  #record(lane: Lane): void {
    const said: Uint8Array[] = [];
    const write = lane.write.bind(lane);
    let bytes = 0;
    lane.write = (buffers) => {
      for (const buffer of buffers) {
        if (bytes < RECORDED_BYTES_MAX) said.push(buffer.slice());
        bytes += buffer.length;
      }
      return write(buffers);
    };
    this.recordings.push(said);
    this.#lanes.add(lane);
  }
}
