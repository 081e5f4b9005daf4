import { RoutyError } from '@routy/proto/base';
import type { Troubles } from '../events/troubles.ts';
import type { Log } from '../observe/log.ts';

/** Between two looks, in ms. */
const LOOK_MS = 1_000;

/** A look that comes so much later found the event loop busy, in ms. */
const LAG_MS_MAX = 250;

/** So many late looks within `LAG_WINDOW_MS` are more than one slow moment. */
const LATE_LOOKS = 3;
const LAG_WINDOW_MS = 60_000;

/** A peer's clock that differs by more makes certificates and logs disagree, in ms. */
const SKEW_MS_MAX = 2_000;

const LOOP = 'event loop';

export interface PeerClock {
  /** `site/node`. */
  readonly peer: string;
  /** Peer's clock minus this node's; undefined before it was measured. */
  readonly offsetMs: number | undefined;
}

/**
 * Looks once a second at what no peer and no client tells: whether this process gets to its work in
 * time, and whether the clocks of the nodes agree. Time is an argument of `look`.
 */
export class Vitals {
  readonly #log: Log;
  readonly #troubles: Troubles;
  readonly #clocks: () => readonly PeerClock[];
  /** Peers whose clock was told to be wrong. */
  readonly #skewed = new Set<string>();
  #lastLookMs: number | undefined;
  /** When the last looks were late, the newest last. */
  #late: number[] = [];

  constructor(log: Log, troubles: Troubles, clocks: () => readonly PeerClock[]) {
    this.#log = log;
    this.#troubles = troubles;
    this.#clocks = clocks;
  }

  /** @returns a function that ends it */
  start(): () => void {
    const timer = setInterval(() => this.look(performance.now()), LOOK_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  look(nowMs: number): void {
    this.#lookAtLoop(nowMs);
    this.#lookAtClocks();
  }

  #lookAtLoop(nowMs: number): void {
    const lagMs = this.#lastLookMs === undefined ? 0 : nowMs - this.#lastLookMs - LOOK_MS;
    this.#lastLookMs = nowMs;
    this.#late = this.#late.filter((atMs) => nowMs - atMs < LAG_WINDOW_MS);
    if (lagMs > LAG_MS_MAX) {
      this.#late.push(nowMs);
      if (this.#late.length >= LATE_LOOKS) this.#troubles.has(LOOP, tooLate(), 'streams are slow');
    } else if (this.#late.length === 0) {
      this.#troubles.over(LOOP);
    }
  }

  #lookAtClocks(): void {
    const there = new Set<string>();
    for (const { peer, offsetMs } of this.#clocks()) {
      there.add(peer);
      if (offsetMs === undefined) continue;
      const differs = Math.abs(offsetMs) > SKEW_MS_MAX;
      if (differs && !this.#skewed.has(peer)) this.#tellSkew(peer, offsetMs);
      // Not at the limit itself, or it would be told again and again.
      if (Math.abs(offsetMs) < SKEW_MS_MAX / 2 && this.#skewed.delete(peer)) {
        const message = `the clock of ${peer} agrees with this one again`;
        this.#log.news('info', 'clocks-agree', message, { peer });
      }
    }
    for (const peer of this.#skewed) if (!there.has(peer)) this.#skewed.delete(peer);
  }

  #tellSkew(peer: string, offsetMs: number): void {
    this.#skewed.add(peer);
    const seconds = (Math.abs(offsetMs) / 1000).toFixed(1);
    const how = offsetMs > 0 ? 'ahead of' : 'behind';
    const fields = {
      peer,
      clockOffsetMs: Math.round(offsetMs),
      hint: 'Certificates are judged by the clock, and logs are compared by it: run an NTP client on both.',
    };
    const message = `the clock of ${peer} is ${seconds} s ${how} that of this node`;
    this.#log.failure('clocks-differ', message, fields, { peer });
  }
}

/** The same words each time, so that repeated ones are counted. */
function tooLate(): RoutyError {
  return new RoutyError(
    'event-loop-late',
    `this process came to its work more than ${LAG_MS_MAX} ms late, several times in a minute`,
    { hint: 'the machine or this process is overloaded: look at its CPU, swap and disk' },
  );
}
