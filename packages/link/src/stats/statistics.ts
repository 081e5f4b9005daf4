import { Ewma } from './ewma.ts';

/** What is counted. Bytes of a stream are bytes of its session too, so each kind has sums of its own. */
export type MeterKind = 'stream' | 'conversation' | 'session';

/** These only grow. */
export interface Counters {
  /** Payload bytes given to the session, each once, replayed or not. */
  readonly bytesSent: number;
  /** Payload bytes of the peer, each once. */
  readonly bytesReceived: number;
  /** Messages, where a stream is used as such. */
  readonly messagesSent: number;
  /** Messages, where a stream is used as such. */
  readonly messagesReceived: number;
  /** A session's resumptions, a conversation's retries. */
  readonly retries: number;
  /**
   * What was not taken: casts of a conversation that is not established, streams that a session
   * refused at its limits.
   */
  readonly drops: number;
}

/** A second, smoothed over some heartbeats. */
export interface Rates {
  /** Payload bytes a second. */
  readonly bytesSent: number;
  /** Payload bytes a second. */
  readonly bytesReceived: number;
  /** Messages a second. */
  readonly messagesSent: number;
  /** Messages a second. */
  readonly messagesReceived: number;
}

/** One stream, conversation or session that has not ended. */
export interface MeterSnapshot {
  /** What is counted. */
  readonly kind: MeterKind;
  /** The class it is summed by: `other` when there were too many. */
  readonly class: string;
  /** For people: the protocol of a stream, `site/node` of a session. */
  readonly name: string;
  /** Since it began, in ms. */
  readonly ageMs: number;
  /** The round trip measured last, in ms; undefined where none was. */
  readonly rttMs: number | undefined;
  /** Since it began. */
  readonly counters: Counters;
  /** A second. */
  readonly rates: Rates;
}

/** All of one kind and class since the start, those that have ended too. */
export interface ClassSnapshot {
  /** What was counted; bytes of streams are bytes of their session too. */
  readonly kind: MeterKind;
  /** Name of the class. */
  readonly class: string;
  /** Those that have not ended. */
  readonly live: number;
  /** All since the start. */
  readonly begun: number;
  /** The round trip measured last, by any of them. */
  readonly rttMs: number | undefined;
  /** Sums since the start. */
  readonly counters: Counters;
  /** A second, of all of them together. */
  readonly rates: Rates;
}

/** Every meter that lives and the sums of the classes, at one moment. */
export interface StatisticsSnapshot {
  /** Those that have not ended. */
  readonly meters: readonly MeterSnapshot[];
  /** The sums, one for each kind and class. */
  readonly classes: readonly ClassSnapshot[];
}

/** How often subscribers are told, in ms, and how many classes have sums of their own. */
export interface StatisticsOptions {
  /** The pace of subscribers and rates, in ms. */
  readonly heartbeatIntervalMs: number;
  /** How many classes have sums of their own; what is of a further one counts as `other`. */
  readonly classesMax?: number;
  /** Fires when nothing more will be counted: subscriptions end then. */
  readonly over?: AbortSignal;
}

/** Counts for one stream, conversation or session. */
export interface Meter {
  /** So many more bytes were sent, and messages, 1 unless said; neither is below 0. */
  sent(bytes: number, messages?: number): void;
  /** So many more bytes came, and messages, 1 unless said; neither is below 0. */
  received(bytes: number, messages?: number): void;
  /** It was tried again, once unless said. */
  retried(times?: number): void;
  /** So many messages were dropped, 1 unless said. */
  dropped(messages?: number): void;
  /** A round trip was measured, in ms. */
  rtt(rttMs: number): void;
  /** It leaves the list of the living. What is counted later is still in the sums. */
  end(): void;
}

/** The class of everything whose own class came when there were as many as may be. */
export const OTHER_CLASS = 'other';

const CLASSES_MAX = 32;

/**
 * Counts by stream, conversation, session and class. Every count goes to its meter and to the sums of
 * its class at once, so that no sum loses anything, and none runs backwards, when a meter ends.
 * Memory: the living meters, and three sums for each class. Times are those of `performance.now()`, in ms.
 */
export class Statistics {
  /** The pace of subscribers and rates, in ms. */
  readonly heartbeatIntervalMs: number;
  /** Fires when nothing more will be counted, as the link is closed. */
  readonly over: AbortSignal | undefined;
  readonly #classesMax: number;
  readonly #classes = new Set<string>();
  readonly #sums = new Map<string, Sum>();
  readonly #live = new Set<LiveMeter>();
  #beatAtMs = -Infinity;

  constructor({ heartbeatIntervalMs, classesMax = CLASSES_MAX, over }: StatisticsOptions) {
    this.heartbeatIntervalMs = heartbeatIntervalMs;
    this.over = over;
    this.#classesMax = classesMax;
  }

  /** `name` is for the reader; it need not be the only one of its kind. */
  begin(nowMs: number, kind: MeterKind, className: string, name: string): Meter {
    const sum = this.#sumOf(nowMs, kind, this.#classOf(className));
    sum.live++;
    sum.begun++;
    const meter = new LiveMeter(nowMs, name, this.heartbeatIntervalMs, sum, () => {
      if (this.#live.delete(meter)) sum.live--;
    });
    this.#live.add(meter);
    return meter;
  }

  /** Everything at one moment: now, or `nowMs` of `performance.now()`. */
  snapshot(nowMs = performance.now()): StatisticsSnapshot {
    this.#beat(nowMs);
    return {
      meters: [...this.#live].map((meter) => meter.snapshot(nowMs)),
      classes: [...this.#sums.values()].map((sum) => sum.snapshot()),
    };
  }

  /** Rates go on at the pace of heartbeats, however many ask and however often. */
  #beat(nowMs: number): void {
    if (nowMs - this.#beatAtMs < this.heartbeatIntervalMs / 2) return;
    this.#beatAtMs = nowMs;
    for (const sum of this.#sums.values()) sum.tally.beat(nowMs);
    for (const meter of this.#live) meter.tally.beat(nowMs);
  }

  #classOf(name: string): string {
    if (this.#classes.has(name) || name === OTHER_CLASS) return name;
    if (this.#classes.size >= this.#classesMax) return OTHER_CLASS;
    this.#classes.add(name);
    return name;
  }

  #sumOf(nowMs: number, kind: MeterKind, className: string): Sum {
    const key = `${kind} ${className}`;
    const known = this.#sums.get(key);
    if (known !== undefined) return known;
    const sum = new Sum(nowMs, kind, className, this.heartbeatIntervalMs);
    this.#sums.set(key, sum);
    return sum;
  }
}

/** The counters of one meter or of one sum, and their rates. */
class Tally {
  readonly counters = {
    bytesSent: 0,
    bytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
    retries: 0,
    drops: 0,
  };
  rttMs: number | undefined;
  readonly #rates: Readonly<Record<keyof Rates, Ewma>>;

  constructor(nowMs: number, intervalMs: number) {
    const rate = () => new Ewma(nowMs, intervalMs);
    this.#rates = {
      bytesSent: rate(),
      bytesReceived: rate(),
      messagesSent: rate(),
      messagesReceived: rate(),
    };
  }

  beat(nowMs: number): void {
    for (const name of RATED) this.#rates[name].update(nowMs, this.counters[name]);
  }

  figures(): { rttMs: number | undefined; counters: Counters; rates: Rates } {
    const { bytesSent, bytesReceived, messagesSent, messagesReceived } = this.#rates;
    return {
      rttMs: this.rttMs,
      counters: { ...this.counters },
      rates: {
        bytesSent: bytesSent.perSecond,
        bytesReceived: bytesReceived.perSecond,
        messagesSent: messagesSent.perSecond,
        messagesReceived: messagesReceived.perSecond,
      },
    };
  }
}

const RATED = ['bytesSent', 'bytesReceived', 'messagesSent', 'messagesReceived'] as const;

class Sum {
  readonly kind: MeterKind;
  readonly class: string;
  readonly tally: Tally;
  live = 0;
  begun = 0;

  constructor(nowMs: number, kind: MeterKind, className: string, intervalMs: number) {
    this.kind = kind;
    this.class = className;
    this.tally = new Tally(nowMs, intervalMs);
  }

  snapshot(): ClassSnapshot {
    const { kind, live, begun } = this;
    return { kind, class: this.class, live, begun, ...this.tally.figures() };
  }
}

class LiveMeter implements Meter {
  readonly tally: Tally;
  readonly #sinceMs: number;
  readonly #name: string;
  readonly #sum: Sum;
  readonly #onEnd: () => void;

  constructor(nowMs: number, name: string, intervalMs: number, sum: Sum, onEnd: () => void) {
    this.tally = new Tally(nowMs, intervalMs);
    this.#sinceMs = nowMs;
    this.#name = name;
    this.#sum = sum;
    this.#onEnd = onEnd;
  }

  /** Written out, as it is called for every message. */
  sent(bytes: number, messages = 1): void {
    expectGrowth('bytesSent', bytes);
    expectGrowth('messagesSent', messages);
    const own = this.tally.counters;
    const sum = this.#sum.tally.counters;
    own.bytesSent += bytes;
    sum.bytesSent += bytes;
    own.messagesSent += messages;
    sum.messagesSent += messages;
  }

  received(bytes: number, messages = 1): void {
    expectGrowth('bytesReceived', bytes);
    expectGrowth('messagesReceived', messages);
    const own = this.tally.counters;
    const sum = this.#sum.tally.counters;
    own.bytesReceived += bytes;
    sum.bytesReceived += bytes;
    own.messagesReceived += messages;
    sum.messagesReceived += messages;
  }

  retried(times = 1): void {
    this.#count('retries', times);
  }

  dropped(messages = 1): void {
    this.#count('drops', messages);
  }

  rtt(rttMs: number): void {
    this.tally.rttMs = rttMs;
    this.#sum.tally.rttMs = rttMs;
  }

  end(): void {
    this.#onEnd();
  }

  snapshot(nowMs: number): MeterSnapshot {
    const { kind, class: className } = this.#sum;
    const ageMs = Math.max(0, nowMs - this.#sinceMs);
    return { kind, class: className, name: this.#name, ageMs, ...this.tally.figures() };
  }

  #count(counter: keyof Counters, by: number): void {
    expectGrowth(counter, by);
    this.tally.counters[counter] += by;
    this.#sum.tally.counters[counter] += by;
  }
}

/** A counter that could go back, or become NaN, would be wrong for ever after. */
function expectGrowth(counter: keyof Counters, by: number): void {
  if (!Number.isSafeInteger(by) || by < 0) throw new RangeError(`${counter} cannot grow by ${by}`);
}
