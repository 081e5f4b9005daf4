import { createHash } from 'node:crypto';
import { type Identity, invariant, type RoutyError } from '@routy/proto/base';
import { LANE_LINGER_MS, type Lane, type LaneHandlers, lingerFailure } from '../transport/lane.ts';
import { LinkError } from '../transport/link-error.ts';
import { realTimers, type Timers } from '../transport/timers.ts';
import { type LaneFaults, MemoryLink } from './memory-link.ts';

/** Lanes made so far by this process, so that each has an exporter of its own. */
let lanesMade = 0;

/** Bytes queued above which `write` returns false. */
const HIGH_WATER_BYTES = 256 * 1024;

/** What is in memory that was lent, afterwards. */
const POISON = 0xdb;

/** Who stands at the two ends of lanes in memory, and what goes wrong between them. */
export interface MemoryLanesOptions {
  /** Who the dialling end is; what the accepted lane has as `peer`. */
  readonly dialler: Identity;
  /** Who the listening end is; what the dialled lane has as `peer`. */
  readonly listener: Identity;
  /** For both directions. */
  readonly faults?: LaneFaults;
  /** The clock of delays; tests have their own. */
  readonly timers?: Timers;
}

/** Which way bytes go. */
export type LaneDirection = 'to-listener' | 'to-dialler' | 'both';

/** The two ends of one lane in memory, and the faults between them. */
export interface MemoryLanes {
  /** The dialler's end. */
  readonly dialled: Lane;
  /** The listener's end. */
  readonly accepted: Lane;
  /** Replaces the faults from now on. */
  setFaults(faults: LaneFaults, direction?: LaneDirection): void;
  /** Nothing arrives any more, ends and resets included: a dropped packet path. Nobody is told. */
  stall(direction?: LaneDirection): void;
  /** What was held up arrives. */
  heal(direction?: LaneDirection): void;
  /** Both ends get a reset now; what was on the way is lost. */
  cut(): void;
}

/**
 * Two ends of a lane without a network between them, for tests: it keeps every promise of
 * {@link Lane} and breaks what networks break, when told to.
 */
export function memoryLanes(options: MemoryLanesOptions): MemoryLanes {
  const { dialler, listener, faults = {}, timers = realTimers } = options;
  const toListener = new MemoryLink(timers, faults);
  const toDialler = new MemoryLink(timers, faults);
  lanesMade += 1;
  const exporter = createHash('sha256').update(`memory lane ${lanesMade}`).digest();
  const common = { exporter, timers };
  const dialled = new MemoryLane('dialled', listener, toListener, toDialler, common);
  const accepted = new MemoryLane('accepted', dialler, toDialler, toListener, common);
  const pick = (direction: LaneDirection = 'both') => [
    ...(direction === 'to-dialler' ? [] : [toListener]),
    ...(direction === 'to-listener' ? [] : [toDialler]),
  ];
  return {
    dialled,
    accepted,
    setFaults: (next, direction) => {
      for (const link of pick(direction)) link.setFaults(next);
    },
    stall: (direction) => {
      for (const link of pick(direction)) link.stall();
    },
    heal: (direction) => {
      for (const link of pick(direction)) link.heal();
    },
    cut: () => {
      dialled.break();
      accepted.break();
    },
  };
}

class MemoryLane implements Lane {
  readonly direction: Lane['direction'];
  readonly peer: Identity;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly security = 'none (memory)';
  readonly exporter: Uint8Array;
  readonly #out: MemoryLink;
  readonly #in: MemoryLink;
  readonly #timers: Timers;
  #handlers: LaneHandlers | undefined;
  #paused = false;
  #awaitsDrain = false;
  /** `end` or `destroy` was called here, or the peer ended and this end follows. */
  #finishing = false;
  #sentAll = false;
  #peerEnded = false;
  #closed = false;
  #error: RoutyError | undefined;
  #cancelLinger: (() => void) | undefined;

  constructor(
    direction: Lane['direction'],
    peer: Identity,
    out: MemoryLink,
    into: MemoryLink,
    common: { readonly exporter: Uint8Array; readonly timers: Timers },
  ) {
    this.direction = direction;
    this.peer = peer;
    const ends = ['memory:1', 'memory:2'] as const;
    const [local, remote] = direction === 'dialled' ? ends : ([ends[1], ends[0]] as const);
    this.localAddress = local;
    this.remoteAddress = remote;
    this.#out = out;
    this.#in = into;
    this.exporter = common.exporter;
    this.#timers = common.timers;
    out.attachSender({
      onEmpty: () => this.#handleEmpty(),
      onEnded: () => this.#handleSentAll(),
    });
    into.attachReceiver({
      onData: (chunk) => this.#handOn(chunk, this.#handlers!),
      onEnd: () => this.#handlePeerEnd(),
      onReset: () => this.break(),
    });
  }

  get queuedBytes(): number {
    return this.#out.queuedBytes;
  }

  /** Lends it where it may, and overwrites it then: who has kept a view reads nonsense. */
  #handOn(chunk: Uint8Array, handlers: LaneHandlers): void {
    if (handlers.onLent === undefined) {
      handlers.onData(chunk);
      return;
    }
    const lent = new Uint8Array(chunk);
    handlers.onLent(lent);
    lent.fill(POISON);
  }

  bind(handlers: LaneHandlers): void {
    invariant(this.#handlers === undefined, 'a lane is bound once');
    this.#handlers = handlers;
    if (this.#closed) {
      this.#timers.after(0, () => handlers.onClose(this.#error));
      return;
    }
    if (!this.#paused) this.#in.open();
  }

  write(buffers: readonly Uint8Array[]): boolean {
    if (this.#finishing || this.#closed) return false;
    for (const buffer of buffers) this.#out.push(buffer);
    if (this.#out.queuedBytes <= HIGH_WATER_BYTES) return true;
    this.#awaitsDrain = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
    this.#in.shut();
  }

  resume(): void {
    this.#paused = false;
    if (this.#handlers !== undefined && !this.#closed) this.#in.open();
  }

  end(): void {
    if (this.#finishing || this.#closed) return;
    this.#finish();
  }

  destroy(error?: RoutyError): void {
    if (this.#closed) return;
    this.#error ??= error;
    this.#out.reset();
    this.#close();
  }

  /** The connection was reset underneath. */
  break(): void {
    if (this.#closed) return;
    const text = `lane to ${this.remoteAddress} was reset by the peer`;
    if (!this.#sentAll) this.#error ??= new LinkError('lane-reset', text);
    this.#out.discard();
    this.#close();
  }

  #handleEmpty(): void {
    if (!this.#awaitsDrain || this.#finishing || this.#closed) return;
    this.#awaitsDrain = false;
    this.#handlers?.onDrain();
  }

  /** As a socket that may not be half open: when the peer ends, so does this end. */
  #handlePeerEnd(): void {
    this.#peerEnded = true;
    if (!this.#finishing) this.#finish();
    else if (this.#sentAll) this.#close();
  }

  #finish(): void {
    this.#finishing = true;
    this.#cancelLinger = this.#timers.after(LANE_LINGER_MS, () => this.#handleLingerTimeout());
    this.#out.end();
  }

  #handleSentAll(): void {
    this.#sentAll = true;
    if (this.#peerEnded) this.#close();
  }

  #handleLingerTimeout(): void {
    this.destroy(this.#sentAll ? undefined : lingerFailure(this, LANE_LINGER_MS));
  }

  #close(): void {
    this.#closed = true;
    this.#finishing = true;
    this.#cancelLinger?.();
    this.#in.discard();
    // A socket closes after the call that closed it, never within.
    this.#timers.after(0, () => this.#handlers?.onClose(this.#error));
  }
}
