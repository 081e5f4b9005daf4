/**
 * Many that wait for one signal by one listener: Node warns of a leak at the eleventh, and an owner of
 * a thousand locators has one signal for all.
 */
export class AbortListeners {
  readonly #leaving = new Set<() => void>();
  readonly #bySignal = new WeakMap<AbortSignal, { listeners: Set<() => void>; off: () => void }>();

  /** Takes all of them away. */
  clear(): void {
    for (const leave of [...this.#leaving]) leave();
  }

  /** Calls `listener` once when the signal, which has not fired, fires; the result takes it away. */
  add(signal: AbortSignal, listener: () => void): () => void {
    const { listeners, off } = this.#bySignal.get(signal) ?? this.#watch(signal);
    const fire = () => {
      this.#leaving.delete(leave);
      listener();
    };
    const leave = () => {
      this.#leaving.delete(leave);
      if (listeners.delete(fire) && listeners.size === 0) off();
    };
    listeners.add(fire);
    this.#leaving.add(leave);
    return leave;
  }

  #watch(signal: AbortSignal) {
    const listeners = new Set<() => void>();
    const fire = () => {
      for (const listener of listeners) listener();
    };
    const off = () => {
      signal.removeEventListener('abort', fire);
      this.#bySignal.delete(signal);
    };
    signal.addEventListener('abort', fire, { once: true });
    const watched = { listeners, off };
    this.#bySignal.set(signal, watched);
    return watched;
  }
}
