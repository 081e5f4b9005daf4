import { performance } from 'node:perf_hooks';
import type { SessionDriverApi } from '../../driver/driver-types.ts';

/** How often it is looked at, in ms. */
const LOOK_MS = 250;

/**
 * Calls `late`, with what to say, once a peer has had so long to answer. Only time counts in which a lane
 * could bring the answer, and this process did not stand still. The result stops it.
 */
export function afterAnswerMs(
  driver: Pick<SessionDriverApi, 'suspended'>,
  answerMs: number,
  late: (reason: string) => void,
): () => void {
  let leftMs = answerMs;
  let lookedAtMs = performance.now();
  const stop = () => clearInterval(timer);
  const look = () => {
    const nowMs = performance.now();
    if (!driver.suspended) leftMs -= Math.min(nowMs - lookedAtMs, 2 * LOOK_MS);
    lookedAtMs = nowMs;
    if (leftMs > 0) return;
    stop();
    late(`the other node gave no answer in ${answerMs} ms`);
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return stop;
}
