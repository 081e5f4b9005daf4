import type { ProcessLibrary } from '../native/process-library.ts';
import type { NativeMemory } from '../system/native-memory.ts';
import type { System } from '../system/system.ts';
import { systemError } from '../system/system-error.ts';

const UV_POLL = 8;
const UV_READABLE = 1;

/**
 * libuv's watch over one descriptor: as long as it is watched the process lives on, and when it is
 * readable libuv's loop goes round, which is all that is wanted. Nothing of JavaScript is called.
 */
export class UvPoll {
  readonly #calls: Calls;
  readonly #handle: NativeMemory;
  /** A function of C that does nothing with what libuv calls it with. */
  readonly #ignore: number;

  /** @throws when libuv lacks a call or refuses the descriptor */
  constructor(system: System, fd: number) {
    const { library } = system;
    this.#calls = bind(library);
    this.#ignore = library.addressOfFunction('uv_is_active');
    this.#handle = system.allocate(this.#calls.handleSize(UV_POLL));
    const result = this.#calls.init(this.#calls.defaultLoop(), this.#handle.address, fd);
    // libuv's errors are the system's.
    if (result !== 0) throw systemError('uv_poll_init', result);
  }

  start(): void {
    this.#calls.start(this.#handle.address, UV_READABLE, this.#ignore);
  }

  stop(): void {
    this.#calls.stop(this.#handle.address);
  }

  /** libuv lets go of the handle in its next turn; its memory must be there until then. */
  close(): void {
    this.#calls.close(this.#handle.address, 0);
    const handle = this.#handle;
    setImmediate(() => setImmediate(() => void handle.address));
  }
}

type Calls = ReturnType<typeof bind>;

function bind(library: ProcessLibrary) {
  return {
    defaultLoop: library.func('size_t uv_default_loop()'),
    handleSize: library.func('size_t uv_handle_size(int)'),
    init: library.func('int uv_poll_init(size_t, size_t, int)'),
    start: library.func('int uv_poll_start(size_t, int, size_t)'),
    stop: library.func('int uv_poll_stop(size_t)'),
    close: library.func('void uv_close(size_t, size_t)'),
  };
}
