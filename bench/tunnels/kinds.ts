import type { TunnelName } from '../options.ts';
import { bore } from './bore.ts';
import { chisel } from './chisel.ts';
import { direct } from './direct.ts';
import { frp } from './frp.ts';
import { rathole } from './rathole.ts';
import { before, routyOn } from './routy.ts';
import type { Variant } from './variants.ts';
import { ssh } from './ssh.ts';
import type { TunnelKind } from './tunnel.ts';

/** Belong to every run: their absence is told. Others are measured where they are. */
const EXPECTED: readonly TunnelName[] = [
  ...(['routy', 'ssh', 'direct'] as const),
  ...(process.env.ROUTY_BEFORE === undefined ? [] : (['before'] as const)),
];

export interface WantedPeers {
  /** As `--peers` has them. */
  readonly peers: readonly string[];
  /** Whether the user named them, and so wants to know of each that is missing. */
  readonly peersNamed: boolean;
}

/** What is there of the peers that are wanted, in the order of the table. */
export function presentKinds(
  { peers, peersNamed }: WantedPeers,
  variants: readonly Variant[],
  problem: (text: string) => void,
): readonly TunnelKind[] {
  const [first] = variants;
  if (first === undefined) throw new Error('no Routy to measure');
  const byName: Readonly<Record<TunnelName, readonly TunnelKind[]>> = {
    routy: variants.map(routyOn),
    before: [before(first)],
    ...{ ssh: [ssh], direct: [direct], rathole: [rathole], frp: [frp] },
    ...{ chisel: [chisel], bore: [bore] },
  };
  const present: TunnelKind[] = [];
  for (const [name, kinds] of Object.entries(byName)) {
    if (!peers.includes(name)) continue;
    for (const kind of kinds) {
      const missing = kind.missing();
      if (missing === null) present.push(kind);
      else if (peersNamed || EXPECTED.some((each) => each === name))
        problem(`${kind.name}: ${missing}`);
    }
  }
  return present;
}
