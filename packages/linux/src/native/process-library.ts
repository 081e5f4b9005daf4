import { createRequire } from 'node:module';

/** The symbols of this very process: Node's own OpenSSL and the C library. */
export interface ProcessLibrary {
  /**
   * A function by its C prototype, such as `int close(int)`. Addresses are `size_t` in it and numbers
   * here, which costs a call half of what pointers cost.
   *
   * @throws when there is no such symbol
   */
  func(prototype: string): (...values: number[]) => number;
  /**
   * Where the bytes of a buffer begin. Holds while the buffer is reachable: C does not keep it alive.
   */
  addressOf(buffer: ArrayBufferLike): number;
  /** Where a function of C begins, to hand it to C. @throws when there is no such symbol */
  addressOfFunction(name: string): number;
  /** What the last call said in `errno`. */
  errno(): number;
}

/** The symbols, or why they cannot be had. */
export type ProcessLibraryLoaded =
  | { readonly library: ProcessLibrary }
  | { readonly missing: string };

interface Koffi {
  load(path: null): {
    func(prototype: string): (...values: unknown[]) => number;
    symbol(name: string, type: string): object;
  };
  address(of: object): bigint;
  errno(): number;
}

/** Koffi is optional: whatever keeps it from working is the answer. Never throws. */
export function loadProcessLibrary(
  load: () => unknown = () => createRequire(import.meta.url)('koffi'),
  platform: string = process.platform,
): ProcessLibraryLoaded {
  if (platform !== 'linux') return { missing: `not on ${platform}` };
  try {
    const koffi = load() as Koffi;
    const own = koffi.load(null);
    return {
      library: {
        func: (prototype) => own.func(prototype),
        addressOf: (buffer) => Number(koffi.address(buffer)),
        addressOfFunction: (name) => Number(koffi.address(own.symbol(name, 'void'))),
        errno: () => koffi.errno(),
      },
    };
  } catch (error) {
    return { missing: koffiFault(error) };
  }
}

function koffiFault(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code === 'MODULE_NOT_FOUND') {
    return 'koffi is not installed: npm leaves it out with --omit=optional';
  }
  return `koffi does not load: ${reasonOf(error, 'it does not say why')}`;
}

/** One line for whoever is told what is missing. */
export function reasonOf(error: unknown, otherwise: string): string {
  const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
  return line || otherwise;
}
