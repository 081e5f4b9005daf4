/** From samples of the section `link` to figures, ratios and targets. */
import type { Samples } from '../samples.ts';
import { isRouty } from '../tunnels/variants.ts';
import { LIBRARIES } from './library.ts';

type Figure = number | null;

/** A figure of each library. */
export interface LinkFigure {
  readonly what: string;
  /** By library. */
  readonly of: Readonly<Record<string, Figure>>;
  /** Routy's divided by that of each of the others. */
  readonly ratio: Readonly<Record<string, Figure>>;
  /** The same for Routy over the native transport. */
  readonly ratioNative: Readonly<Record<string, Figure>>;
}

export interface LinkResults {
  /** By name: what was measured and its unit, as in `messages.perSecond`. */
  readonly figures: Readonly<Record<string, LinkFigure>>;
  readonly rounds: number;
}

/** What Routy is to reach. */
export interface Reach {
  readonly what: string;
  readonly figure: Figure;
  readonly limit: number;
  readonly atLeast: boolean;
}

const FIGURES: Readonly<Record<string, string>> = {
  'messages.perSecond': 'messages of 100 bytes a second',
  'messages.cpuPerMillion': '  CPU seconds per million',
  'bytes.mbPerSecond': 'messages of 64 KiB, MB a second',
  'bytes.cpuPerGB': '  CPU seconds per GB',
  'requests1.p50Us': 'request p50, µs, 1 in flight',
  'requests1.p99Us': '  p99, µs',
  'requests1.cpuPerMillion': '  CPU seconds per million',
  'requests64.p50Us': 'request p50, µs, 64 in flight',
  'requests64.p99Us': '  p99, µs',
  'requests64.perSecond': '  requests a second',
  'requests64.cpuPerMillion': '  CPU seconds per million',
  'streams.perSecond': 'streams opened a second',
  'streams.cpuPerMillion': '  CPU seconds per million',
};

/** Those that are not Routy. */
export const OTHERS = LIBRARIES.filter((name) => !isRouty(name));

export function summarizeLink(measured: { samples: Samples; rounds: number }): LinkResults {
  const { samples, rounds } = measured;
  const figures = Object.entries(FIGURES).map(([name, what]) => {
    const of = byName(LIBRARIES, (library) => rounded(samples.median(library, name)));
    const ratioOf = (own: Figure) => byName(OTHERS, (other) => rounded(divided(own, of[other]!)));
    const [ratio, ratioNative] = [ratioOf(of.routy!), ratioOf(of['routy-native']!)];
    return [name, { what, of, ratio, ratioNative }] as const;
  });
  return { figures: Object.fromEntries(figures), rounds };
}

export function linkReaches({ figures }: LinkResults): Reach[] {
  const ratio = (name: string, other: string) => figures[name]!.ratio[other]!;
  const atLeast = (what: string, name: string, other: string, limit: number): Reach => ({
    what: `${what}, ratio to ${other}`,
    figure: ratio(name, other),
    limit,
    atLeast: true,
  });
  const native = figures['bytes.mbPerSecond']!.ratioNative.yamux!;
  const atMost = (what: string, name: string, other: string, limit: number): Reach => ({
    ...atLeast(what, name, other, limit),
    atLeast: false,
  });
  return [
    atLeast('messages', 'messages.perSecond', 'grpc', 3),
    atLeast('messages', 'messages.perSecond', 'yamux', 2),
    atLeast('bytes of messages', 'bytes.mbPerSecond', 'grpc', 1.5),
    atLeast('bytes of messages', 'bytes.mbPerSecond', 'yamux', 1.5),
    { ...atLeast('bytes of messages, native', 'bytes.mbPerSecond', 'yamux', 1.5), figure: native },
    atMost('request p50, 1', 'requests1.p50Us', 'grpc', 0.8),
    atMost('request p50, 64', 'requests64.p50Us', 'grpc', 0.8),
  ];
}

function byName(
  names: readonly string[],
  figure: (name: string) => Figure,
): Record<string, Figure> {
  return Object.fromEntries(names.map((name) => [name, figure(name)]));
}

function divided(figure: Figure, other: Figure): Figure {
  return figure === null || other === null || other === 0 ? null : figure / other;
}

/** Four significant digits: more would be noise. */
function rounded(value: Figure): Figure {
  return value === null ? null : Number(value.toPrecision(4));
}
