import { formatAddress } from '../base/address.ts';
import type { ForwardConfig } from '../config/types.ts';
import { Forward, type ForwardHost } from './forward.ts';

/** Makes a forward the same one after a reload: one address leads to one service. */
function forwardKey({ listen }: ForwardConfig): string {
  return formatAddress(listen);
}

/** All forwards of this node. */
export class Forwards {
  readonly #host: ForwardHost;
  readonly #byKey = new Map<string, Forward>();
  #running = false;

  constructor(configs: Iterable<ForwardConfig>, host: ForwardHost) {
    this.#host = host;
    for (const config of configs) this.put(config);
  }

  start(): void {
    this.#running = true;
    for (const forward of this.#byKey.values()) forward.start();
  }

  /** No forward listens any more; connections in progress go on. */
  stop(): void {
    this.#running = false;
    for (const forward of this.#byKey.values()) forward.stop();
  }

  /** Adds the forward, or changes it; its connections go on. */
  put(config: ForwardConfig): void {
    const known = this.#byKey.get(forwardKey(config));
    if (known !== undefined) {
      known.reconfigure(config);
      return;
    }
    const forward = new Forward(config, this.#host);
    this.#byKey.set(forwardKey(config), forward);
    if (this.#running) forward.start();
  }

  /** Removes the forward, resets its connections and says how many there were. */
  remove(config: ForwardConfig): number {
    const forward = this.#byKey.get(forwardKey(config));
    this.#byKey.delete(forwardKey(config));
    forward?.stop();
    return forward?.resetStreams() ?? 0;
  }

  /** Takes note of which sessions offer what now. */
  update(): void {
    for (const forward of this.#byKey.values()) forward.update();
  }

  all(): Forward[] {
    return [...this.#byKey.values()];
  }
}
