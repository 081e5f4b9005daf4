import type { System } from '../system/system.ts';
import { systemError } from '../system/system-error.ts';
import { UvPoll } from './uv-poll.ts';

/** How often a round asks for events: what comes while it works is taken along, but not for ever. */
const DRAINS_MAX = 4;

/** Whoever has a descriptor. It does a bounded piece of work each time it is called. */
export interface Watcher {
  /** The descriptor has these events. They may be told when they are over: try, and see. */
  ready(events: number): void;
}

/** Whoever has work left over from a round. */
export interface Turn {
  /** The next round has come: once for each {@link EventLoop.again}. */
  turn(): void;
}

/**
 * One epoll descriptor that libuv watches. Each time libuv's loop comes round there is one round of
 * work here, of bounded length: work left over, events, then what waits for the end of the round. In
 * between timers, files, names and sockets of Node have their turn as ever.
 *
 * The process is kept alive while a descriptor is watched or work is left, and not by the loop itself.
 */
export class EventLoop {
  readonly #system: System;
  readonly #epoll: number;
  readonly #poll: UvPoll;
  /** By descriptor: who watches it, and the tag that tells it from those that had its number before. */
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #tags: number[] = [];
  #lastTag = 0;
  #watched = 0;
  /** Events of the last call that were not passed on yet. */
  #eventAt = 0;
  #eventCount = 0;
  #turns: Turn[] = [];
  #ends: (() => void)[] = [];
  #immediate: NodeJS.Immediate | undefined;
  #rounds = 0;
  #isClosed = false;
  #closesWhenIdle = false;

  /** @throws when the system or libuv refuses */
  constructor(system: System) {
    this.#system = system;
    this.#epoll = system.epollCreate();
    if (this.#epoll < 0) throw systemError('epoll_create1', this.#epoll);
    try {
      this.#poll = new UvPoll(system, this.#epoll);
    } catch (error) {
      system.close(this.#epoll);
      throw error;
    }
  }

  /** Descriptors watched. */
  get watched(): number {
    return this.#watched;
  }

  /** Rounds so far. */
  get rounds(): number {
    return this.#rounds;
  }

  /**
   * Tells `watcher` of these events of `fd`, until {@link unwatch}.
   *
   * @throws the system's error
   */
  watch(fd: number, events: number, watcher: Watcher): void {
    const tag = (this.#lastTag + 1) >>> 0;
    this.#lastTag = tag;
    const result = this.#system.epollAdd(this.#epoll, fd, events, tag);
    if (result < 0) throw systemError('epoll_ctl', result);
    this.#watchers[fd] = watcher;
    this.#tags[fd] = tag;
    this.#watched++;
    if (this.#watched > 1) return;
    this.#poll.start();
    this.#arm();
  }

  /** From now on another is told of the descriptor's events. */
  handOver(fd: number, watcher: Watcher): void {
    this.#watchers[fd] = watcher;
  }

  /** Nothing more is told of `fd`. Before it is closed, since its number is soon another's. */
  unwatch(fd: number): void {
    if (this.#watchers[fd] === undefined) return;
    this.#watchers[fd] = undefined;
    this.#system.epollDelete(this.#epoll, fd);
    this.#watched--;
    if (this.#watched > 0 || this.#isClosed) return;
    this.#poll.stop();
    if (this.#closesWhenIdle) this.#hurry();
  }

  /** Work is left over: the next round begins with it, and does not wait for an event. */
  again(turn: Turn): void {
    this.#turns.push(turn);
    this.#hurry();
  }

  /** Calls `task` once, when the events of this round are through; soon, when there is no round now. */
  atRoundEnd(task: () => void): void {
    this.#ends.push(task);
    this.#hurry();
  }

  /** To be called when nothing is watched any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearImmediate(this.#immediate);
    this.#poll.stop();
    this.#poll.close();
    this.#system.close(this.#epoll);
  }

  /** Closes itself when nothing is watched any more and no work is left. */
  closeWhenIdle(): void {
    this.#closesWhenIdle = true;
    this.#hurry();
  }

  /** A round follows when libuv's loop has come round; that alone keeps no process alive. */
  #arm(): void {
    if (this.#isClosed) return;
    this.#immediate ??= setImmediate(this.#onImmediate).unref();
  }

  #hurry(): void {
    this.#arm();
    this.#immediate?.ref();
  }

  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.#rounds++;
    try {
      this.#round();
    } finally {
      // What a handler's exception has left is done in the next round.
      if (this.#isLeft()) this.#hurry();
      else if (this.#watched === 0 && this.#closesWhenIdle) this.close();
      else if (this.#watched > 0) this.#arm();
    }
  };

  #round(): void {
    const turns = this.#turns;
    this.#turns = [];
    callEach(turns, takeTurn, this.#turns);
    for (let drains = 0; drains < DRAINS_MAX; drains++) if (!this.#drain()) break;
    this.#runEnds();
  }

  /** False: there was nothing. */
  #drain(): boolean {
    const system = this.#system;
    if (this.#eventAt === this.#eventCount) {
      this.#eventAt = 0;
      this.#eventCount = Math.max(0, system.epollWait(this.#epoll));
    }
    if (this.#eventCount === 0) return false;
    while (this.#eventAt < this.#eventCount) {
      const n = this.#eventAt++;
      const fd = system.eventDescriptor(n);
      // A number closed in this round may be a newcomer's already.
      if (this.#tags[fd] === system.eventTag(n)) this.#watchers[fd]?.ready(system.eventsOf(n));
    }
    return true;
  }

  /** With those that are added meanwhile by others of them: one level, so that a round ends. */
  #runEnds(): void {
    for (let level = 0; level < 2 && this.#ends.length > 0; level++) {
      const ends = this.#ends;
      this.#ends = [];
      callEach(ends, call, this.#ends);
    }
  }

  #isLeft(): boolean {
    const isEvent = this.#eventAt < this.#eventCount;
    return this.#turns.length > 0 || this.#ends.length > 0 || isEvent;
  }
}

function call(task: () => void): void {
  task();
}

function takeTurn(turn: Turn): void {
  turn.turn();
}

/** One that throws keeps nobody from its turn: those behind it have theirs in the next round. */
function callEach<T>(all: readonly T[], make: (each: T) => void, next: T[]): void {
  for (let at = 0; at < all.length; at++) {
    try {
      make(all[at]!);
    } catch (error) {
      next.push(...all.slice(at + 1));
      throw error;
    }
  }
}
