import type { EventEmitter } from 'node:events';
import { types } from 'node:util';

/** Tells the listeners of one event, now; each by itself, so that one that throws is no other's harm. */
export function tellListeners(
  emitter: EventEmitter,
  event: string,
  args: readonly unknown[],
  failed: (error: unknown) => void,
): void {
  for (const listener of emitter.rawListeners(event)) {
    try {
      const result: unknown = Reflect.apply(listener, emitter, args);
      if (types.isPromise(result)) result.catch(failed);
    } catch (error) {
      // Not from in here: the others are told, too.
      queueMicrotask(() => failed(error));
    }
  }
}
