import { EventLoop } from '../loop/event-loop.ts';
import { READ_BYTES_MAX, ReadRoom } from '../memory/read-room.ts';
import { reasonOf } from '../native/process-library.ts';
import { loadSystem, type System, type SystemLoaded } from '../system/system.ts';

/** The plane, or why this process cannot have it, in one line. */
export type NativePlaneLoaded = { readonly plane: NativePlane } | { readonly missing: string };

export interface NativePlaneOptions {
  /** For tests: what was read is overwritten when it has been passed on. */
  readonly poisonsReads?: boolean | undefined;
  /** Instead of this process's own. */
  readonly system?: SystemLoaded | undefined;
}

/** Never throws. */
export function loadNativePlane(options: NativePlaneOptions = {}): NativePlaneLoaded {
  const loaded = options.system ?? loadSystem();
  if ('missing' in loaded) return loaded;
  try {
    return { plane: new NativePlane(loaded.system, options.poisonsReads ?? false) };
  } catch (error) {
    return { missing: reasonOf(error, 'libuv cannot be asked') };
  }
}

/** What all native sockets of a process share: system calls, the loop that watches them, memory. */
export class NativePlane {
  readonly system: System;
  readonly loop: EventLoop;
  readonly room: ReadRoom;

  constructor(system: System, poisons: boolean) {
    this.system = system;
    this.loop = new EventLoop(system);
    this.room = new ReadRoom(system.allocate(READ_BYTES_MAX), poisons);
  }

  /** When all of its sockets and listeners are closed. */
  close(): void {
    this.loop.close();
  }

  /** Closes itself once all of its sockets and listeners are closed. */
  closeWhenIdle(): void {
    this.loop.closeWhenIdle();
  }
}
