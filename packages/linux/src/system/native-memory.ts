import type { ProcessLibrary } from '../native/process-library.ts';

/** Memory that C and JavaScript both see. C does not keep it alive: whoever passes its address does. */
export interface NativeMemory {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Of its first byte. */
  readonly address: number;
}

/** Not cleared: what stood in it before is still there. `length` is a multiple of 4. */
export function allocateMemory(library: ProcessLibrary, length: number): NativeMemory {
  const { buffer } = Buffer.allocUnsafeSlow(length);
  return {
    bytes: new Uint8Array(buffer),
    words: new Uint32Array(buffer),
    address: library.addressOf(buffer),
  };
}
