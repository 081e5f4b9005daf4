import { constants } from 'node:os';
import type { ProcessLibrary } from '../../../packages/linux/src/native/process-library.ts';

export interface FakeLibraryOptions {
  /** A symbol that is not there. */
  readonly without?: string;
  /** A call that fails, and with what. */
  readonly refused?: { readonly call: string; readonly code: keyof typeof constants.errno };
}

/** A process in which every symbol is there and every call answers 0, but for what is said. */
export class FakeLibrary implements ProcessLibrary {
  /** Each symbol that was looked up. */
  readonly symbols: string[] = [];
  /** Each call, in order. */
  readonly calls: string[] = [];
  readonly #options: FakeLibraryOptions;
  #errno = 0;

  constructor(options: FakeLibraryOptions = {}) {
    this.#options = options;
  }

  func(prototype: string): (...values: number[]) => number {
    const name = this.#find(/(\w+)\(/.exec(prototype)![1]!);
    const { refused } = this.#options;
    return () => {
      this.calls.push(name);
      if (refused?.call !== name) return 0;
      this.#errno = constants.errno[refused.code];
      // Those of libuv answer what is wrong, those of the system only that something is.
      return name.startsWith('uv_') ? -this.#errno : -1;
    };
  }

  addressOf(): number {
    return 4096;
  }

  addressOfFunction(name: string): number {
    this.#find(name);
    return 4096;
  }

  errno(): number {
    return this.#errno;
  }

  #find(name: string): string {
    if (name === this.#options.without) {
      throw new Error(`Cannot find function '${name}' in shared library`);
    }
    this.symbols.push(name);
    return name;
  }
}
