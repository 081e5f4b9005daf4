import { performance } from 'node:perf_hooks';

/** How often it is looked whether an answer is late, in ms. */
export const ANSWER_LOOK_MS = 250;

/**
 * How much of the time since the last look a peer has had to answer, in ms: only time counts in which a lane
 * could bring the answer, and this process did not stand still.
 */
export function answerTimeMs(sinceMs: number, isSuspended: boolean): number {
  return isSuspended ? 0 : Math.min(sinceMs, 2 * ANSWER_LOOK_MS);
}

/** Why whoever has waited so long waits no more. */
export function noAnswerText(answerMs: number): string {
  return `the other node gave no answer in ${answerMs} ms`;
}

/** Calls `late`, with what to say, once a peer has had so long to answer. The result stops it. */
export function afterAnswerMs(
  session: { readonly suspended: boolean },
  answerMs: number,
  late: (reason: string) => void,
): () => void {
  let leftMs = answerMs;
  let lookedAtMs = performance.now();
  const stop = () => clearInterval(timer);
  const look = () => {
    const nowMs = performance.now();
    leftMs -= answerTimeMs(nowMs - lookedAtMs, session.suspended);
    lookedAtMs = nowMs;
    if (leftMs > 0) return;
    stop();
    late(noAnswerText(answerMs));
  };
  const timer = setInterval(look, ANSWER_LOOK_MS).unref();
  return stop;
}
