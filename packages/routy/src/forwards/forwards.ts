import { formatAddress } from '@routy/proto/base';
import type { ForwardConfig } from '../config/types.ts';
import type { ReachabilityChange } from '../fabric/directory.ts';
import { Forward, type ForwardHost } from './forward.ts';

/** Makes a forward the same one after a reload: one address leads to one service. */
function forwardKey({ listen }: ForwardConfig): string {
  return formatAddress(listen);
}

/** What all forwards together ask of the node around them. */
export interface ForwardsHost extends ForwardHost {
  /** Forwards lead to the service, or none does any more. */
  watch(site: string, service: string): void;
  unwatch(site: string, service: string): void;
}

/** All forwards of this node. */
export class Forwards {
  readonly #host: ForwardsHost;
  readonly #byKey = new Map<string, Forward>();
  /** `site/service` to the forwards that lead there. Holds no empty sets. */
  readonly #byService = new Map<string, Set<Forward>>();
  #running = false;

  constructor(configs: Iterable<ForwardConfig>, host: ForwardsHost) {
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

  /** Resets every client, held ones too. */
  resetAll(): void {
    for (const forward of this.#byKey.values()) {
      forward.stop();
      forward.resetStreams();
    }
  }

  /** Adds the forward, or changes it; its connections go on. */
  put(config: ForwardConfig): void {
    const known = this.#byKey.get(forwardKey(config));
    if (known !== undefined) {
      this.#unlink(known);
      known.reconfigure(config);
      this.#link(known);
      return;
    }
    const forward = new Forward(config, this.#host);
    this.#byKey.set(forwardKey(config), forward);
    this.#link(forward);
    if (this.#running) forward.start();
  }

  /** Removes the forward, resets its connections and says how many there were. */
  remove(config: ForwardConfig): number {
    const forward = this.#byKey.get(forwardKey(config));
    if (forward === undefined) return 0;
    this.#byKey.delete(forwardKey(config));
    this.#unlink(forward);
    forward.stop();
    return forward.resetStreams();
  }

  /** Services became reachable or ceased to be: the forwards that lead there take note of it. */
  update(changes: readonly ReachabilityChange[]): void {
    for (const { site, service } of changes) {
      for (const forward of this.#byService.get(`${site}/${service}`) ?? []) forward.update();
    }
  }

  all(): Forward[] {
    return [...this.#byKey.values()];
  }

  #link(forward: Forward): void {
    const there = this.#byService.get(forward.to);
    if (there !== undefined) {
      there.add(forward);
      return;
    }
    this.#byService.set(forward.to, new Set([forward]));
    this.#host.watch(forward.config.to.site, forward.config.to.service);
  }

  #unlink(forward: Forward): void {
    const there = this.#byService.get(forward.to);
    if (there === undefined) return;
    there.delete(forward);
    if (there.size > 0) return;
    this.#byService.delete(forward.to);
    this.#host.unwatch(forward.config.to.site, forward.config.to.service);
  }
}
