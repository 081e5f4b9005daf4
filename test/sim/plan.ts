import type { LanePlan } from './lane.ts';
import type { Random } from './random.ts';

/** One node's share of a run. */
export interface NodePlan {
  /** Limit of each of the process's two budgets. */
  readonly poolBytes: number;
  readonly sessionBuffer: number;
  readonly streamWindow: number;
  readonly streams: number;
  /** Monotonic clock at virtual time zero, and how fast it goes. */
  readonly clockBaseMs: number;
  readonly clockRate: number;
  /** Wall clock minus virtual time. */
  readonly wallSkewMs: number;
}

/** How one end of a conversation writes and reads. */
export interface AppPlan {
  readonly bytes: number;
  readonly chunkBytes: number;
  /** Pause between chunks; 0 writes as fast as the session takes it. */
  readonly writeEveryMs: number;
  /** Writes no more than this before the faults end. */
  readonly writeStuckAt: number;
  /** Half-closes when done: at once, or only after the peer has. */
  readonly endsAfterPeer: boolean;
  /** `at-once` within the event, `later` some ms after, `dribble` a little at a time, `stuck` not before the faults end. */
  readonly reads: 'at-once' | 'later' | 'dribble' | 'stuck';
  readonly readEveryMs: number;
  readonly readBytes: number;
  /** Gives the stream up so long after it got it. */
  readonly resetAfterMs: number | undefined;
}

export interface ConversationPlan {
  readonly opener: 0 | 1;
  readonly openAtMs: number;
  readonly answer: 'accept' | 'refuse' | 'never';
  readonly answerAfterMs: number;
  /** Delivers early data before it accepts. */
  readonly deliversEarly: boolean;
  readonly apps: readonly [AppPlan, AppPlan];
}

export type FaultPlan =
  | {
      readonly kind: 'stall';
      readonly atMs: number;
      readonly forMs: number;
      readonly froms: readonly number[];
    }
  | { readonly kind: 'cut'; readonly atMs: number; readonly noticing: readonly number[] }
  | { readonly kind: 'drain' | 'close'; readonly atMs: number; readonly by: number }
  | {
      readonly kind: 'pressure';
      readonly atMs: number;
      readonly forMs: number;
      readonly on: number;
      readonly share: number;
    };

export interface Plan {
  readonly lane: LanePlan;
  readonly nodes: readonly [NodePlan, NodePlan];
  readonly conversations: readonly ConversationPlan[];
  readonly faults: readonly FaultPlan[];
  readonly faultPhaseMs: number;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  readonly handshakeTimeoutMs: number;
  readonly dialRefusedChance: number;
  readonly admitDelayMs: number;
  readonly admitRefusedChance: number;
  /** A redial keeps the session's id with the next epoch, or starts a new session. */
  readonly keepsSessionId: boolean;
  /** The nodes disagree on a shared setting until the faults end. */
  readonly settingsDiffer: boolean;
}

/** Bytes a lane may hold beyond its queue: one turn of a stream and frames of control. */
const OVERSHOOT_BYTES = 80 * 1024;

const KIB = 1024;

/** Everything a run does, drawn from its seed. */
export function drawPlan(random: Random): Plan {
  const heartbeatIntervalMs = random.skewed(100, 5_000);
  const heartbeatMisses = random.int(2, 4);
  const deadAfterMs = heartbeatIntervalMs * heartbeatMisses;
  // One-byte pieces cost a step each, so such a run carries little.
  const tiny = random.chance(0.15);
  const faultPhaseMs = random.int(1_000, 20_000);
  return {
    lane: drawLane(random, deadAfterMs, tiny),
    nodes: [drawNode(random), drawNode(random)],
    conversations: drawConversations(random, faultPhaseMs, tiny),
    faults: drawFaults(random, faultPhaseMs, deadAfterMs),
    faultPhaseMs,
    heartbeatIntervalMs,
    heartbeatMisses,
    handshakeTimeoutMs: 1_000 + deadAfterMs,
    dialRefusedChance: random.chance(0.5) ? 0 : 0.5,
    admitDelayMs: random.chance(0.7) ? 0 : random.int(1, 300),
    admitRefusedChance: random.chance(0.9) ? 0 : 0.5,
    keepsSessionId: random.chance(0.5),
    settingsDiffer: random.chance(0.05),
  };
}

/** A lane that, while it has no fault, answers a heartbeat well before its session would give it up. */
function drawLane(random: Random, deadAfterMs: number, tiny: boolean): LanePlan {
  const patienceMs = deadAfterMs / 8;
  const queueBytes = random.skewed(1, 256 * KIB);
  const bytesPerMsMin = Math.ceil((queueBytes + OVERSHOOT_BYTES) / patienceMs);
  return {
    latencyMs: random.skewed(0, Math.min(150, patienceMs)),
    jitterMs: random.chance(0.5) ? 0 : random.skewed(0, Math.min(100, patienceMs)),
    bytesPerMs: Math.max(bytesPerMsMin, random.skewed(10, 200_000)),
    queueBytes,
    pieceBytes: tiny ? random.int(1, 40) : random.pick([1400, 16 * KIB, 64 * KIB, 300 * KIB]),
  };
}

function drawNode(random: Random): NodePlan {
  const tight = random.chance(0.4);
  return {
    poolBytes: random.skewed(40 * KIB, tight ? 200 * KIB : 8192 * KIB),
    sessionBuffer: 2 * random.skewed(40 * KIB, tight ? 200 * KIB : 8192 * KIB),
    streamWindow: random.skewed(16 * KIB, 1024 * KIB),
    streams: random.chance(0.3) ? random.int(1, 4) : 1000,
    clockBaseMs: random.int(0, 1_000_000_000),
    clockRate: 1 + (random.float() - 0.5) / 1000,
    wallSkewMs: 1_700_000_000_000 + random.int(-100_000_000, 100_000_000),
  };
}

function drawConversations(
  random: Random,
  faultPhaseMs: number,
  tiny: boolean,
): ConversationPlan[] {
  const count = random.skewed(4, 120);
  const bytesMax = tiny ? 1_500 : random.pick([5_000, 100_000, Math.floor(20_000_000 / count)]);
  const patient = random.chance(0.5);
  const plans: ConversationPlan[] = [];
  for (let i = 0; i < count; i++) {
    plans.push({
      opener: random.chance(0.5) ? 0 : 1,
      openAtMs: random.int(0, faultPhaseMs),
      answer: random.chance(0.85) ? 'accept' : random.pick(['refuse', 'never'] as const),
      answerAfterMs: random.chance(0.5) ? 0 : random.skewed(0, 1_000),
      deliversEarly: random.chance(0.3),
      apps: [drawApp(random, bytesMax, patient, false), drawApp(random, bytesMax, patient, true)],
    });
  }
  return plans;
}

function drawApp(random: Random, bytesMax: number, patient: boolean, answers: boolean): AppPlan {
  const bytes = random.chance(0.1) ? 0 : random.skewed(0, bytesMax);
  const chunkBytes = random.skewed(Math.max(1, Math.floor(bytes / 300)), 64 * KIB);
  const readBytes = random.skewed(Math.max(1, Math.floor(bytesMax / 300)), 64 * KIB);
  return {
    bytes,
    chunkBytes,
    writeEveryMs: random.chance(0.7) ? 0 : random.skewed(1, 100),
    writeStuckAt: random.chance(0.9) ? Infinity : random.int(0, bytes),
    endsAfterPeer: answers && random.chance(0.4),
    reads: random.pick(['at-once', 'at-once', 'later', 'dribble', 'stuck'] as const),
    readEveryMs: random.skewed(1, 200),
    readBytes,
    resetAfterMs: !patient && random.chance(0.15) ? random.skewed(0, 5_000) : undefined,
  };
}

function drawFaults(random: Random, faultPhaseMs: number, deadAfterMs: number): FaultPlan[] {
  const count = random.chance(0.25) ? 0 : random.int(1, 6);
  const faults: FaultPlan[] = [];
  for (let i = 0; i < count; i++) faults.push(drawFault(random, faultPhaseMs, deadAfterMs));
  return faults;
}

function drawFault(random: Random, faultPhaseMs: number, deadAfterMs: number): FaultPlan {
  const atMs = random.int(0, faultPhaseMs);
  const directions = random.pick([[0], [1], [0, 1]]);
  const kind = random.pick(['stall', 'hole', 'cut', 'drain', 'close', 'pressure'] as const);
  switch (kind) {
    case 'stall':
      return { kind, atMs, forMs: random.skewed(1, 3 * deadAfterMs), froms: directions };
    case 'hole':
      return { kind: 'stall', atMs, forMs: Infinity, froms: directions };
    case 'cut':
      return { kind, atMs, noticing: directions };
    case 'pressure':
      return {
        kind,
        atMs,
        forMs: random.int(1, 5_000),
        on: random.int(0, 1),
        share: random.float(),
      };
    default:
      return { kind, atMs, by: random.int(0, 1) };
  }
}
