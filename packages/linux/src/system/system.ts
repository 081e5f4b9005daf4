import { isMainThread } from 'node:worker_threads';
import {
  loadProcessLibrary,
  type ProcessLibrary,
  type ProcessLibraryLoaded,
  reasonOf,
} from '../native/process-library.ts';
import { SO_LINGER, SOL_SOCKET } from './constants.ts';
import { allocateMemory, type NativeMemory } from './native-memory.ts';
import { ADDRESS_BYTES_MAX, decodeAddress, familyOf, type SocketPlace } from './socket-address.ts';
import { systemError } from './system-error.ts';

/** The system calls, or why they cannot be had. */
export type SystemLoaded = { readonly system: System } | { readonly missing: string };

/** Pieces that one {@link System.writeGathered} takes. */
export const GATHERED_MAX = 64;

/** Events that one {@link System.epollWait} brings. */
export const EVENTS_MAX = 256;

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const SHUT_WR = 1;
const MSG_NOSIGNAL = 0x4000;
const VECTOR_BYTES = 16;
const OPTION_BYTES_MAX = 120;
/** An option behind its length. */
const SCRATCH_BYTES = 8 + OPTION_BYTES_MAX;
const WORD = 2 ** 32;

/** `struct epoll_event` is packed on x64 only: its length, and where what it carries begins, in words. */
const EVENT_WORDS: Readonly<Record<string, readonly [length: number, data: number]>> = {
  x64: [3, 1],
  arm64: [4, 2],
};

/** What {@link loadSystem} asks; tests say it otherwise. */
export interface SystemSurroundings {
  readonly library: ProcessLibraryLoaded;
  readonly architecture: string;
  readonly isMainThread: boolean;
}

/**
 * The system calls of this process, each tried or looked up once. Whatever is not there is the one
 * reason why. Never throws.
 */
export function loadSystem(surroundings: Partial<SystemSurroundings> = {}): SystemLoaded {
  const architecture = surroundings.architecture ?? process.arch;
  const event = EVENT_WORDS[architecture];
  if (event === undefined) return { missing: `not on ${architecture}` };
  if (!(surroundings.isMainThread ?? isMainThread)) {
    return { missing: 'only on the main thread' };
  }
  const loaded = surroundings.library ?? loadProcessLibrary();
  if ('missing' in loaded) return loaded;
  try {
    const system = new System(loaded.library, event);
    const probe = system.epollCreate();
    if (probe < 0) return { missing: systemError('epoll_create1', probe).message };
    system.close(probe);
    return { system };
  } catch (error) {
    return { missing: reasonOf(error, 'a system call is missing') };
  }
}

/**
 * The calls of Linux that sockets need, without blocking. Each answers what the system answers, or its
 * `errno`, negative. Addresses of memory are numbers; who passes one keeps the memory alive.
 */
export class System {
  readonly library: ProcessLibrary;
  readonly #calls: Calls;
  readonly #eventWords: number;
  readonly #eventData: number;
  readonly #events: NativeMemory;
  /** One event, one option or the length of an address: written before a call and read after it. */
  readonly #scratch: NativeMemory;
  readonly #place: NativeMemory;
  readonly #vectors: NativeMemory;

  /** @throws when the C library lacks a call */
  constructor(library: ProcessLibrary, [eventWords, eventData]: readonly [number, number]) {
    this.library = library;
    this.#calls = bind(library);
    this.#eventWords = eventWords;
    this.#eventData = eventData;
    this.#events = allocateMemory(library, EVENTS_MAX * eventWords * 4);
    this.#scratch = allocateMemory(library, SCRATCH_BYTES);
    this.#place = allocateMemory(library, ADDRESS_BYTES_MAX);
    this.#vectors = allocateMemory(library, GATHERED_MAX * VECTOR_BYTES);
  }

  allocate(length: number): NativeMemory {
    return allocateMemory(this.library, length);
  }

  epollCreate(): number {
    return this.#result(this.#calls.epollCreate(EPOLL_CLOEXEC));
  }

  /** What the descriptor's events carry is its number and `tag`, 32 bits. */
  epollAdd(epoll: number, fd: number, events: number, tag: number): number {
    const { words, address } = this.#scratch;
    words[0] = events;
    words[this.#eventData] = fd;
    words[this.#eventData + 1] = tag;
    return this.#result(this.#calls.epollControl(epoll, EPOLL_CTL_ADD, fd, address));
  }

  epollDelete(epoll: number, fd: number): number {
    return this.#result(this.#calls.epollControl(epoll, EPOLL_CTL_DEL, fd, this.#scratch.address));
  }

  /** How many events are there now, to be asked for one by one until the next call. */
  epollWait(epoll: number): number {
    return this.#result(this.#calls.epollWait(epoll, this.#events.address, EVENTS_MAX, 0));
  }

  /** Which events the `n`th has. */
  eventsOf(n: number): number {
    return this.#events.words[n * this.#eventWords]!;
  }

  eventDescriptor(n: number): number {
    return this.#events.words[n * this.#eventWords + this.#eventData]!;
  }

  eventTag(n: number): number {
    return this.#events.words[n * this.#eventWords + this.#eventData + 1]!;
  }

  /** A stream socket of the family of `address`. */
  socket(address: Uint8Array): number {
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    return this.#result(this.#calls.socket(familyOf(address), type, 0));
  }

  bind(fd: number, address: Uint8Array): number {
    this.#place.bytes.set(address);
    return this.#result(this.#calls.bind(fd, this.#place.address, address.length));
  }

  connect(fd: number, address: Uint8Array): number {
    this.#place.bytes.set(address);
    return this.#result(this.#calls.connect(fd, this.#place.address, address.length));
  }

  listen(fd: number, backlog: number): number {
    return this.#result(this.#calls.listen(fd, backlog));
  }

  accept(fd: number): number {
    return this.#result(this.#calls.accept(fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }

  receive(fd: number, address: number, length: number): number {
    return this.#result(this.#calls.receive(fd, address, length, 0));
  }

  /** The first {@link GATHERED_MAX} of `pieces`, none of them empty. */
  writeGathered(fd: number, pieces: readonly Uint8Array[]): number {
    const count = Math.min(pieces.length, GATHERED_MAX);
    if (count === 1) {
      const piece = pieces[0]!;
      return this.#result(this.#calls.send(fd, this.#addressOf(piece), piece.length, MSG_NOSIGNAL));
    }
    const { words, address } = this.#vectors;
    for (let n = 0; n < count; n++) {
      const piece = pieces[n]!;
      const at = this.#addressOf(piece);
      words[4 * n] = at % WORD;
      words[4 * n + 1] = at / WORD;
      words[4 * n + 2] = piece.length;
      words[4 * n + 3] = 0;
    }
    // Node ignores SIGPIPE.
    return this.#result(this.#calls.writev(fd, address, count));
  }

  shutdownWriting(fd: number): number {
    return this.#result(this.#calls.shutdown(fd, SHUT_WR));
  }

  /** Never fails: the descriptor is gone whatever is answered. */
  close(fd: number): void {
    this.#calls.close(fd);
  }

  /** The other end sees a reset, and what it has not been sent yet is thrown away. */
  closeWithReset(fd: number): void {
    const { words, address } = this.#scratch;
    words[0] = 1;
    words[1] = 0;
    this.#calls.setOption(fd, SOL_SOCKET, SO_LINGER, address, 8);
    this.#calls.close(fd);
  }

  setOption(fd: number, level: number, name: number, value: number): number {
    const { words, address } = this.#scratch;
    words[0] = value;
    return this.#result(this.#calls.setOption(fd, level, name, address, 4));
  }

  /** An option that is a number, not a negative one. */
  getOption(fd: number, level: number, name: number): number {
    const option = this.readOption(fd, level, name, 4);
    return typeof option === 'number' ? option : option.getUint32(0, true);
  }

  /** At most {@link OPTION_BYTES_MAX} of an option. What is returned is valid until the next call. */
  readOption(fd: number, level: number, name: number, length: number): DataView | number {
    const { words, address, bytes } = this.#scratch;
    words[0] = length;
    const result = this.#calls.getOption(fd, level, name, address + 8, address);
    if (result < 0) return this.#result(result);
    return new DataView(bytes.buffer, 8, words[0]);
  }

  /** Undefined when it has none, or none any more. */
  localPlace(fd: number): SocketPlace | undefined {
    return this.#placeOf(this.#calls.socketName, fd);
  }

  /** Undefined when it has none, or none any more. */
  remotePlace(fd: number): SocketPlace | undefined {
    return this.#placeOf(this.#calls.peerName, fd);
  }

  #placeOf(ask: Calls['peerName'], fd: number): SocketPlace | undefined {
    const { words, address } = this.#scratch;
    words[0] = ADDRESS_BYTES_MAX;
    if (ask(fd, this.#place.address, address) < 0) return undefined;
    return decodeAddress(this.#place.bytes.subarray(0, words[0]));
  }

  #addressOf(piece: Uint8Array): number {
    return this.library.addressOf(piece.buffer) + piece.byteOffset;
  }

  #result(value: number): number {
    return value < 0 ? -this.library.errno() : value;
  }
}

type Calls = ReturnType<typeof bind>;

function bind(library: ProcessLibrary) {
  return {
    epollCreate: library.func('int epoll_create1(int)'),
    epollControl: library.func('int epoll_ctl(int, int, int, size_t)'),
    epollWait: library.func('int epoll_wait(int, size_t, int, int)'),
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, size_t, uint32_t)'),
    connect: library.func('int connect(int, size_t, uint32_t)'),
    listen: library.func('int listen(int, int)'),
    accept: library.func('int accept4(int, size_t, size_t, int)'),
    receive: library.func('long recv(int, size_t, size_t, int)'),
    send: library.func('long send(int, size_t, size_t, int)'),
    writev: library.func('long writev(int, size_t, int)'),
    shutdown: library.func('int shutdown(int, int)'),
    close: library.func('int close(int)'),
    setOption: library.func('int setsockopt(int, int, int, size_t, uint32_t)'),
    getOption: library.func('int getsockopt(int, int, int, size_t, size_t)'),
    socketName: library.func('int getsockname(int, size_t, size_t)'),
    peerName: library.func('int getpeername(int, size_t, size_t)'),
  };
}
