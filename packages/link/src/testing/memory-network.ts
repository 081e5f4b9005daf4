import type { Identity } from '@routy/proto/base';
import { abortReason } from '../transport/deadline.ts';
import { LinkError } from '../transport/link-error.ts';
import type { Transport, TransportAddress, TransportHandlers } from '../transport/transport.ts';
import { type MemoryLanes, memoryLanes } from './memory-lane.ts';
import type { LaneFaults } from './memory-link.ts';

interface MemoryListener {
  readonly self: Identity;
  readonly handlers: TransportHandlers;
}

/** A network in memory, for tests: links of one process dial each other by names of their choice. */
export interface MemoryNetwork {
  /** For `createLink({ transports: { memory: network.transport } })`; addresses are text. */
  transport(self: Identity): Transport;
  /** The lanes that were made, the oldest first; those that have ended too. */
  readonly lanes: readonly MemoryLanes[];
  /** Every lane there is gets a reset at both ends. */
  cut(): void;
  /** While it is down dials fail with `dial-unreachable`; lanes there are go on. */
  setDown(isDown: boolean): void;
  /** For lanes to come. */
  setFaults(faults: LaneFaults): void;
}

/** Makes a network in memory, with nobody on it. Nobody on it proves who it is. */
export function memoryNetwork(): MemoryNetwork {
  const listeners = new Map<string, MemoryListener>();
  const lanes: MemoryLanes[] = [];
  const state: { isDown: boolean; faults: LaneFaults } = { isDown: false, faults: {} };
  return {
    lanes,
    cut: () => {
      for (const pair of lanes) pair.cut();
    },
    setDown: (isDown) => {
      state.isDown = isDown;
    },
    setFaults: (faults) => {
      state.faults = faults;
    },
    transport: (self) => ({
      isProven: false,
      dial: async (address, signal) => {
        // No sooner than a connection would be there.
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) throw abortReason(signal);
        const listener = state.isDown ? undefined : listeners.get(textOf(address));
        if (listener === undefined) throw unreachable(textOf(address), state.isDown);
        const options = { dialler: self, listener: listener.self, faults: state.faults };
        const pair = memoryLanes(options);
        lanes.push(pair);
        listener.handlers.onLane(pair.accepted);
        return pair.dialled;
      },
      listen: async (address, handlers) => {
        const name = textOf(address);
        if (listeners.has(name)) {
          throw new LinkError('listen-in-use', `somebody listens on memory:${name} already`);
        }
        const listener = { self, handlers };
        listeners.set(name, listener);
        return {
          address: name,
          close: async () => {
            if (listeners.get(name) === listener) listeners.delete(name);
          },
        };
      },
    }),
  };
}

function textOf(address: TransportAddress): string {
  if (typeof address === 'string') return address;
  throw new LinkError('address-invalid', 'an address in memory is text', {
    hint: "write it as { transport: 'memory', address: 'gray' }",
  });
}

function unreachable(name: string, isDown: boolean): LinkError {
  return isDown
    ? new LinkError('dial-unreachable', 'the network in memory is down')
    : new LinkError('dial-refused', `nobody listens on memory:${name}`);
}
