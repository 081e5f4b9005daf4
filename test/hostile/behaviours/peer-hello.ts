import { randomBytes } from 'node:crypto';
import type { Attack, Behaviour } from './attack.ts';
import { type HelloChanges, type HostileLane, hex } from '../attacker.ts';
import * as frames from '../frames.ts';

/** A HELLO that is wrong in one way, again and again on fresh lanes. */
function wrongHello(name: string, changes: () => HelloChanges): Behaviour {
  return {
    name,
    round: (attack) => sayAndWait(attack, () => attack.attacker.greet(changes(), false)),
  };
}

/** Bytes in place of HELLO. */
function insteadOfHello(name: string, bytes: (attack: Attack) => Uint8Array): Behaviour {
  return {
    name,
    round: (attack) =>
      sayAndWait(attack, async () => {
        const lane = await attack.attacker.lane();
        lane.send(bytes(attack));
        return lane;
      }),
  };
}

async function sayAndWait(attack: Attack, start: () => Promise<HostileLane>): Promise<void> {
  const lane = attack.keep(await start());
  const untilMs = performance.now() + 500;
  await attack.rest(() => lane.gone || performance.now() > untilMs);
  attack.drop(lane);
}

/** Many lanes that say `bytes` and no more, and stay. */
function lingering(name: string, bytes: (attack: Attack) => Uint8Array): Behaviour {
  return {
    name,
    round: async (attack) => {
      for (let count = 0; count < 40 && !attack.over; count += 1) {
        const lane = attack.keep(await attack.attacker.lane());
        lane.send(bytes(attack));
      }
      await attack.rest();
    },
  };
}

const other = () => ({ id: hex(16), epoch: 1 });

/** What an authenticated node may do in place of a proper HELLO. */
export const HELLO_BEHAVIOURS: readonly Behaviour[] = [
  lingering('hello-never', () => Buffer.alloc(0)),
  lingering('hello-half', ({ attacker }) => frames.hello(attacker.hello()).subarray(0, 100)),
  {
    name: 'hello-drip',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.lane());
      for (const byte of frames.hello(attack.attacker.hello())) {
        if (attack.over || lane.gone) break;
        lane.send(Buffer.of(byte));
        await attack.pause(2);
      }
      attack.drop(lane);
    },
  },
  insteadOfHello('hello-no-json', () => frames.raw(frames.TYPE.HELLO, randomBytes(200))),
  insteadOfHello('hello-too-long', () => frames.raw(frames.TYPE.HELLO, Buffer.alloc(20_000, 0x20))),
  insteadOfHello('hello-deep', () =>
    frames.raw(frames.TYPE.HELLO, Buffer.from('['.repeat(8_000) + ']'.repeat(8_000))),
  ),
  insteadOfHello('hello-an-array', () => frames.json(frames.TYPE.HELLO, [1, 2, 3])),
  insteadOfHello('hello-after-data', ({ attacker }) =>
    Buffer.concat([frames.data(1, 0, randomBytes(100)), frames.hello(attacker.hello())]),
  ),
  insteadOfHello('hello-and-more', ({ attacker }) =>
    Buffer.concat([frames.hello(attacker.hello()), frames.open(1, 'echo')]),
  ),
  insteadOfHello('hello-is-close', () => frames.close(0, 'never mind')),
  wrongHello('hello-other-node', () => ({ node: `red${hex(2)}` })),
  wrongHello('hello-other-site', () => ({ site: 'blue', node: 'blue1' })),
  wrongHello('hello-other-fabric', () => ({ fabric: `f${hex(3)}` })),
  wrongHello('hello-no-version', () => ({ versions: [] })),
  wrongHello('hello-other-version', () => ({ versions: [7, 8, 9, 65_535] })),
  wrongHello('hello-settings-differ', () => ({
    settings: { heartbeat_interval: '1s', heartbeat_misses: '7', resume_time: '3s' },
  })),
  wrongHello('hello-settings-invented', () => ({
    settings: Object.fromEntries(
      Array.from({ length: 64 }, () => [hex(16), `\u202e${hex(60)}`] as const),
    ),
  })),
  wrongHello('hello-capabilities', () => ({
    capabilities: Array.from({ length: 64 }, () => hex(32)),
  })),
  wrongHello('hello-unknown-session', () => ({ session: { ...other(), proof: hex(32) } })),
  wrongHello('hello-epoch-huge', () => ({
    session: { id: hex(16), epoch: Number.MAX_SAFE_INTEGER },
  })),
  wrongHello('hello-epoch-zero', () => ({ session: { id: hex(16), epoch: 0 } })),
  wrongHello('hello-replaces-invented', () => ({
    session: { ...other(), replaces: hex(16) },
  })),
  wrongHello('hello-window-zero', () => ({ initialWindow: 0 })),
  wrongHello('hello-software-crooked', () => ({ software: `\u2066${hex(40)}\u2028` })),
  {
    name: 'hello-twice',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.greet());
      lane.send(frames.hello(attack.attacker.hello()));
      await attack.rest(() => lane.gone);
      attack.drop(lane);
    },
  },
  {
    name: 'hello-new-instance-each-time',
    round: async (attack) => {
      attack.keep(await attack.attacker.greet({ instance: hex(16) }));
    },
  },
  {
    name: 'tls-and-away',
    round: async (attack) => {
      const lane = attack.keep(await attack.attacker.lane());
      attack.drop(lane);
    },
  },
];
