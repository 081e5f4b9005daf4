import { parseArgs } from 'node:util';
import { LIBRARIES } from './link/library.ts';

export const SECTIONS = [
  'throughput',
  'throughput8',
  'connections',
  'echo',
  'idle',
  'resume',
  'peers',
  'link',
] as const;
export type Section = (typeof SECTIONS)[number];

const TUNNELS = ['routy', 'ssh', 'direct', 'before', 'rathole', 'frp', 'chisel', 'bore'] as const;
export type TunnelName = (typeof TUNNELS)[number];
export const PEERS = [...TUNNELS, ...LIBRARIES.filter((name) => name !== 'routy')] as const;

export const PLANES = ['portable', 'native'] as const;
/** As `[node] data_plane` has them. */
export type Plane = (typeof PLANES)[number];

export interface Options {
  readonly quick: boolean;
  readonly sections: readonly Section[];
  readonly peers: readonly string[];
  /** Whether the user named the peers, and so wants to know of each that is missing. */
  readonly peersNamed: boolean;
  /** Executables of the Nodes that Routy is measured on, one at least. */
  readonly nodes: readonly string[];
  /** Data planes that Routy is measured on; none: the one that a node chooses by itself. */
  readonly planes: readonly Plane[];
  readonly jsonFile: string | null;
  /** How often every measurement is taken; medians are reported. */
  readonly rounds: number;
  /** The same for the section link. */
  readonly linkRounds: number;
  /** How long one measurement takes. */
  readonly seconds: number;
  /** How long every peer is used in a round before anything is measured. */
  readonly warmUpSeconds: number;
  /** No new round is begun that would end later than this after the start. */
  readonly roundsBudgetMs: number;
  /** Idle streams held, ascending; the last is the one reported per stream. */
  readonly idleSteps: readonly number[];
  readonly idleSettleMs: number;
  /** How long after closing the idle streams RSS is read again. */
  readonly idleAfterMs: number;
  /** How often the path between the nodes is cut. */
  readonly resumeCuts: number;
  /** How many nodes dial one. */
  readonly herds: readonly number[];
  readonly herdIdleMs: number;
}

export const HELP = `npm run bench -- [options]

Measures Routy, ssh -R, a direct connection, and rathole, frp, chisel and bore where they are on
PATH or in the cache that bench/peers.sh fills, in turn and in one run, and prints medians and
ratios to ssh -R. ROUTY_BEFORE=FILE, the built cli/main.js of another build, is measured as the peer
"before" and compared within each round. The section link has Routy's link library, over node:tls and
over its native transport, beside node:http2, @grpc/grpc-js, yamux and plain node:tls. How long a run
will take is said at its beginning.

  --json FILE      also write the results to FILE
  --quick          short measurements: 2 to 3 minutes with everything, less with --only
  --only LIST      sections, of: ${SECTIONS.join(', ')}
  --peers LIST     peers, of: ${PEERS.join(', ')}
  --node PATH      run the nodes of Routy with this Node; may be given several times, and each is
                   measured in every round. The first is "routy" (and runs "before"), others are
                   "routy@24". The load, and the sections peers and link, are run by the Node that
                   runs the bench, which is the default
  --plane LIST     data planes of Routy, of: ${PLANES.join(', ')}; each is measured in every round, on each
                   Node: "routy-native" beside "routy". Without it nodes choose by themselves
  --rounds N       measure everything N times (default 5; quick 3, and link once)
  --seconds S      duration of one measurement (default 2; quick 0.4)
  --warm-up S      use every tunnel so long before anything is measured (default 3; quick 1)
  --streams N      idle streams to hold (default 10000)
  --help           this text

Exit codes: 0 done; 1 Routy, ssh, direct or a peer named with --peers is missing, or one that is
there could not be measured; 2 wrong usage; 130 interrupted.
`;

/**
 * Reads the command line; null when help was asked for.
 * @throws with a message for the user when it is wrong.
 */
export function readOptions(argv: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      peers: { type: 'string' },
      node: { type: 'string', multiple: true },
      plane: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      'warm-up': { type: 'string' },
      streams: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const { quick } = values;
  const streams = positive('streams', values.streams ?? '10000');
  return {
    quick,
    sections: chosen('only', values.only, SECTIONS),
    peers: chosen('peers', values.peers, PEERS),
    peersNamed: values.peers !== undefined,
    nodes: values.node ?? [process.execPath],
    planes: values.plane === undefined ? [] : chosen('plane', values.plane, PLANES),
    jsonFile: values.json ?? null,
    rounds: positive('rounds', values.rounds ?? (quick ? '3' : '5')),
    linkRounds: positive('rounds', values.rounds ?? (quick ? '1' : '5')),
    seconds: positive('seconds', values.seconds ?? (quick ? '0.4' : '2')),
    warmUpSeconds: positive('warm-up', values['warm-up'] ?? (quick ? '1' : '3')),
    roundsBudgetMs: quick ? 50_000 : 30 * 60_000,
    idleSteps: streams > 1_000 ? [1_000, streams] : [streams],
    idleSettleMs: quick ? 1_500 : 5_000,
    idleAfterMs: quick ? 8_000 : 60_000,
    resumeCuts: quick ? 5 : 50,
    herds: quick ? [1, 50] : [1, 50, 200, 1000],
    herdIdleMs: quick ? 1_000 : 10_000,
  };
}

function chosen<T extends string>(
  name: string,
  list: string | undefined,
  known: readonly T[],
): readonly T[] {
  if (list === undefined) return known;
  const names = list.split(',').map((text) => text.trim());
  const unknown = names.filter((text) => !(known as readonly string[]).includes(text));
  if (unknown.length > 0)
    throw new Error(`--${name}: ${unknown.join(', ')} is not one of ${known.join(', ')}`);
  return known.filter((text) => names.includes(text));
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name}: ${text} is not a number above 0`);
  return value;
}
