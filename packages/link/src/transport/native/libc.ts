import { createRequire } from 'node:module';

/** Calls of the C library that Node has no way to make. Each fails quietly. */
export interface Libc {
  /** Sets a number; false when the system refuses. */
  setOption(fd: number, level: number, name: number, value: number): boolean;
  /** Reads an option into `into`, from its start; the number of bytes it has, or -1. */
  getOption(fd: number, level: number, name: number, into: Uint8Array): number;
  /** Gives free memory back to the system; undefined where the C library knows no such call (musl). */
  readonly trimMemory: (() => void) | undefined;
}

/** The calls, or why there are none. */
export type LibcLoaded = { readonly libc: Libc } | { readonly missing: string };

interface Koffi {
  load(path: null): { func(prototype: string): (...values: unknown[]) => number };
}

let loaded: LibcLoaded | undefined;

/**
 * Loaded when first asked for, which only a running node does. Koffi is optional: whatever keeps it
 * from working keeps nothing else from working.
 */
export function libc(): Libc | undefined {
  const found = libcLoaded();
  return 'libc' in found ? found.libc : undefined;
}

/** The same with the reason, for the log. */
export function libcLoaded(): LibcLoaded {
  loaded ??= loadLibc();
  return loaded;
}

/** Never throws. */
export function loadLibc(
  load: () => unknown = () => createRequire(import.meta.url)('koffi'),
  platform: string = process.platform,
): LibcLoaded {
  if (platform !== 'linux') return { missing: `not on ${platform}` };
  try {
    return { libc: bind(load() as Koffi) };
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { missing: line || 'koffi does not load' };
  }
}

function bind(koffi: Koffi): Libc {
  const library = koffi.load(null);
  const set = library.func('int setsockopt(int, int, int, const void *, uint32_t)');
  const get = library.func('int getsockopt(int, int, int, void *, _Inout_ uint32_t *)');
  const number = new Int32Array(1);
  const length = [0];
  return {
    setOption: (fd, level, name, value) => {
      number[0] = value;
      return set(fd, level, name, number, number.byteLength) === 0;
    },
    getOption: (fd, level, name, into) => {
      length[0] = into.byteLength;
      return get(fd, level, name, into, length) === 0 ? length[0]! : -1;
    },
    trimMemory: trimming(library),
  };
}

function trimming(library: ReturnType<Koffi['load']>): (() => void) | undefined {
  try {
    const trim = library.func('int malloc_trim(size_t)');
    return () => void trim(0);
  } catch {
    return undefined;
  }
}
