import { EventLoop } from '../loop/event-loop.ts';
import { ReadRoom } from '../memory/read-room.ts';
import { SLAB_BYTES, SlabPool } from '../memory/slab-pool.ts';
import { reasonOf } from '../native/process-library.ts';
import { loadSystem, type System, type SystemLoaded } from '../system/system.ts';

/** The plane, or why this process cannot have it, in one line. */
export type NativePlaneLoaded = { readonly plane: NativePlane } | { readonly missing: string };

export interface NativePlaneOptions {
  /** For tests: freed memory is overwritten and watched. */
  readonly poisonsSlabs?: boolean | undefined;
  /** Instead of this process's own. */
  readonly system?: SystemLoaded | undefined;
}

/** Never throws. */
export function loadNativePlane(options: NativePlaneOptions = {}): NativePlaneLoaded {
  const loaded = options.system ?? loadSystem();
  if ('missing' in loaded) return loaded;
  try {
    return { plane: new NativePlane(loaded.system, options.poisonsSlabs ?? false) };
  } catch (error) {
    return { missing: reasonOf(error, 'libuv cannot be asked') };
  }
}

/** What all native sockets of a process share: system calls, the loop that watches them, memory. */
export class NativePlane {
  readonly system: System;
  readonly loop: EventLoop;
  readonly slabs: SlabPool;
  readonly room: ReadRoom;
  #isRestDue = false;

  constructor(system: System, poisons: boolean) {
    this.system = system;
    this.loop = new EventLoop(system);
    this.slabs = new SlabPool({ allocate: () => system.allocate(SLAB_BYTES), poisons });
    this.room = new ReadRoom(this.slabs);
  }

  /** The room was read into: it is looked after at the end of this round. */
  restLater(): void {
    if (this.#isRestDue) return;
    this.#isRestDue = true;
    this.loop.atRoundEnd(this.#rest);
  }

  /** When all of its sockets and listeners are closed. */
  close(): void {
    this.room.close();
    this.loop.close();
  }

  /** Closes itself once all of its sockets and listeners are closed. */
  closeWhenIdle(): void {
    this.loop.closeWhenIdle(() => this.room.close());
  }

  readonly #rest = (): void => {
    this.#isRestDue = false;
    this.room.rest();
  };
}
