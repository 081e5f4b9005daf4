import {
  DialScheduler,
  type DialSchedulerOptions,
  type DialState,
} from '../../../packages/link/src/peers/dial-scheduler.ts';
import type { Lane } from '../../../packages/link/src/transport/lane.ts';
import type { TcpAddress } from '../../../packages/proto/src/base/address.ts';
import { RoutyError } from '../../../packages/proto/src/base/errors.ts';
import { testMemoryLanes } from '../../support/lanes/memory-pair.ts';
import { VirtualTimers } from '../../support/virtual-timers.ts';

export const A: TcpAddress = { kind: 'tcp', host: 'a', port: 1 };

export const refused = new RoutyError('dial-refused', 'nobody there');
export const policy = new RoutyError('not-authorized', 'you may not');

interface Dial {
  readonly address: TcpAddress;
  readonly at: number;
  readonly signal: AbortSignal;
  readonly hurried: boolean;
  succeed(): Promise<Lane>;
  fail(error?: unknown): Promise<void>;
}

/** A scheduler under a virtual clock, whose dials the test answers one by one. */
export function rig(options: Partial<DialSchedulerOptions> = {}) {
  const timers = new VirtualTimers();
  const dials: Dial[] = [];
  const lanes: Lane[] = [];
  const states: DialState[] = [];
  const delays: [number, string | undefined][] = [];
  const scheduler = new DialScheduler({
    addresses: [A],
    timers,
    dial: (address, signal, hurried) =>
      new Promise((resolve, reject) => {
        dials.push({
          address,
          at: timers.now(),
          signal,
          hurried,
          succeed: async () => {
            const lane = testMemoryLanes({ timers: new VirtualTimers() }).dialled;
            resolve(lane);
            await turn();
            return lane;
          },
          fail: async (error = refused) => {
            reject(error);
            await turn();
          },
        });
      }),
    nextDelayMs: (attempt, error) => {
      delays.push([attempt, error?.code]);
      return attempt * 100;
    },
    isRefusal: (error) => error === policy,
    onLane: (lane) => lanes.push(lane),
    onState: ({ state }) => {
      if (states[states.length - 1] !== state) states.push(state);
    },
    ...options,
  });
  return { timers, dials, lanes, states, delays, scheduler };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
