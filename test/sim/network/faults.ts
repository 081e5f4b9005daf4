import type { Random } from '../random.ts';

/** Which of the lanes that live a fault is about: all, or the one so far (0..1) into their list. */
export type Which = 'all' | number;

/** What goes wrong, and when. Ends and nodes are 0, the dialler's, and 1. */
export type FaultPlan = { readonly atMs: number } & (
  | {
      /** Nothing leaves these ends for so long; Infinity: ever again. */
      readonly kind: 'stall';
      readonly which: Which;
      readonly forMs: number;
      readonly froms: readonly number[];
    }
  | {
      /** What is queued is lost; what is under way too, maybe. */
      readonly kind: 'cut';
      readonly which: Which;
      readonly noticing: readonly number[];
      readonly flightLost: boolean;
    }
  | {
      /** The end takes its lane for lost, while what it queued goes on to the other end, late. */
      readonly kind: 'ghost';
      readonly which: Which;
      readonly end: number;
      readonly delayMs: number;
    }
  | {
      /** All lanes break, and none can be dialled for so long. */
      readonly kind: 'partition';
      readonly forMs: number;
      readonly noticing: readonly number[];
      /** A dial leads to a lane that swallows everything, instead of being refused. */
      readonly swallows: boolean;
    }
  | {
      /** The process is not scheduled; its clocks go on. */
      readonly kind: 'freeze';
      readonly on: number;
      readonly forMs: number;
      /** What it finds due when it goes on: timers before bytes, or all in the order they came. */
      readonly timersFirst: boolean;
    }
  | {
      readonly kind: 'restart';
      readonly on: number;
      readonly downMs: number;
      /** The machine went, not only the process: the peer hears nothing. */
      readonly silent: boolean;
    }
  | {
      /** Other sessions of the process take a share of its budgets for a while. */
      readonly kind: 'pressure';
      readonly forMs: number;
      readonly on: number;
      readonly share: number;
    }
  | {
      /** A node ends one of its lanes in order, and keeps the session. */
      readonly kind: 'done';
      readonly by: number;
      readonly which: number;
    }
  | { readonly kind: 'stray' }
  | { readonly kind: 'drain' | 'close' | 'offer'; readonly by: number }
);

export interface FaultScale {
  readonly faultPhaseMs: number;
  /** When something begins that a fault could hit. */
  readonly openings: readonly number[];
  readonly deadAfterMs: number;
  readonly resumeTimeMs: number;
}

const FAULTS_MAX = 16;

/** What a fault may be; those that try a session most, several times. */
const KINDS = [
  ...(['stall', 'hole', 'cut', 'cut', 'cut', 'cut-all', 'cut-all', 'cut-all', 'cut-all'] as const),
  ...(['ghost', 'ghost', 'ghost', 'partition', 'partition', 'freeze', 'freeze'] as const),
  ...(['done', 'done', 'stray', 'stray', 'pressure', 'offer'] as const),
  ...(['drain', 'close', 'restart'] as const),
];

type Kind = (typeof KINDS)[number];

/** After these there is little left to go wrong, so most runs do without. */
const FINAL: readonly Kind[] = ['drain', 'close', 'restart'];

export function drawFaults(random: Random, scale: FaultScale): FaultPlan[] {
  const count = random.int(1, FAULTS_MAX);
  // A kind of fault that is common to a run hides what the others would show.
  const banned = new Set<Kind>();
  for (const kind of new Set(KINDS)) {
    if (random.chance(FINAL.includes(kind) ? 0.6 : 0.25)) banned.add(kind);
  }
  const kinds = KINDS.filter((kind) => !banned.has(kind));
  const faults: FaultPlan[] = [];
  let lastMs = 0;
  for (let i = 0; i < count && kinds.length > 0; i++) {
    lastMs = Math.min(drawMoment(random, lastMs, scale), scale.faultPhaseMs);
    faults.push(drawFault(random, random.pick(kinds), lastMs, scale));
  }
  return faults;
}

/** Any time, or when much is under way: a stream has begun, or a session is still recovering. */
function drawMoment(random: Random, lastMs: number, { faultPhaseMs, openings }: FaultScale) {
  const kind = random.float();
  if (kind < 0.2) return random.int(0, faultPhaseMs);
  const startMs = kind < 0.6 ? random.pick(openings) : lastMs;
  return startMs + random.skewed(0, 500);
}

function drawFault(
  random: Random,
  kind: Kind,
  atMs: number,
  { deadAfterMs, resumeTimeMs }: FaultScale,
): FaultPlan {
  const which = random.chance(0.3) ? 'all' : random.float();
  const some = random.pick([[0], [1], [0, 1]]);
  switch (kind) {
    case 'stall':
      return { kind, atMs, which, forMs: random.skewed(1, 3 * deadAfterMs), froms: some };
    case 'hole':
      return { kind: 'stall', atMs, which, forMs: Infinity, froms: some };
    case 'cut':
    case 'cut-all': {
      const noticing = random.pick([[], [0], [1], [0, 1]]);
      const lanes = kind === 'cut' ? which : 'all';
      return { kind: 'cut', atMs, which: lanes, noticing, flightLost: random.chance(0.5) };
    }
    case 'ghost':
      return { kind, atMs, which, end: random.int(0, 1), delayMs: random.skewed(0, 3_000) };
    case 'partition': {
      const forMs = random.skewed(10, Math.max(1_000, 2 * resumeTimeMs + deadAfterMs));
      const noticing = random.pick([[], [0], [1], [0, 1]]);
      return { kind, atMs, forMs, noticing, swallows: random.chance(0.5) };
    }
    case 'done':
      return { kind, atMs, by: random.int(0, 1), which: random.float() };
    case 'freeze': {
      const forMs = random.skewed(10, 2 * Math.max(resumeTimeMs, deadAfterMs));
      return { kind, atMs, on: random.int(0, 1), forMs, timersFirst: random.chance(0.5) };
    }
    default:
      return drawNodeFault(random, kind, atMs);
  }
}

function drawNodeFault(
  random: Random,
  kind: 'restart' | 'stray' | 'pressure' | 'drain' | 'close' | 'offer',
  atMs: number,
): FaultPlan {
  const on = random.int(0, 1);
  switch (kind) {
    case 'restart':
      return { kind, atMs, on, downMs: random.skewed(0, 3_000), silent: random.chance(0.3) };
    case 'stray':
      return { kind, atMs };
    case 'pressure':
      return { kind, atMs, forMs: random.int(1, 5_000), on, share: random.float() };
    default:
      return { kind, atMs, by: on };
  }
}
