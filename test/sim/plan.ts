import { drawFaults, type FaultPlan } from './network/faults.ts';
import type { LanePlan } from './network/lane.ts';
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
  /** Its connection is reset in place of the half-close, or behind it. */
  readonly resetsAtEnd: 'no' | 'instead' | 'behind';
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

/** How the dialler keeps its lanes up. */
export interface DiallerPlan {
  readonly lanes: number;
  readonly redialMsMax: number;
  readonly refusedChance: number;
  /** A further lane leads to somebody who has the right certificate and not the secret. */
  readonly impostorChance: number;
}

export interface Plan {
  /** Lanes take turns with these. */
  readonly lanes: readonly LanePlan[];
  readonly nodes: readonly [NodePlan, NodePlan];
  readonly dialler: DiallerPlan;
  readonly conversations: readonly ConversationPlan[];
  readonly faults: readonly FaultPlan[];
  readonly faultPhaseMs: number;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  readonly handshakeTimeoutMs: number;
  readonly resumeTimeMs: number;
  readonly admitDelayMs: number;
  readonly admitRefusedChance: number;
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
  const tiny = random.chance(0.12);
  const resumeTimeMs = drawResumeTime(random);
  const faultPhaseMs = random.chance(0.8) ? random.int(1_000, 20_000) : random.int(20_000, 150_000);
  const conversations = drawConversations(random, faultPhaseMs, tiny);
  const openings = conversations.map(({ openAtMs }) => openAtMs);
  const scale = { faultPhaseMs, openings, deadAfterMs, resumeTimeMs };
  return {
    lanes: drawLanes(random, deadAfterMs, tiny),
    nodes: [drawNode(random), drawNode(random)],
    dialler: drawDialler(random, tiny),
    conversations,
    faults: random.chance(0.9) ? drawFaults(random, scale) : [],
    faultPhaseMs,
    heartbeatIntervalMs,
    heartbeatMisses,
    handshakeTimeoutMs: 1_000 + deadAfterMs,
    resumeTimeMs,
    admitDelayMs: random.chance(0.8) ? 0 : random.int(1, 300),
    admitRefusedChance: random.chance(0.85) ? 0 : 0.4,
    settingsDiffer: random.chance(0.04),
  };
}

/** From a loss that nothing survives to one that nearly everything does. */
function drawResumeTime(random: Random): number {
  const kind = random.float();
  if (kind < 0.1) return 0;
  if (kind < 0.35) return random.skewed(50, 5_000);
  if (kind < 0.6) return random.skewed(1_000, 20_000);
  return 60_000;
}

function drawDialler(random: Random, tiny: boolean): DiallerPlan {
  const many = !tiny && random.chance(0.03);
  return {
    lanes: many ? 16 : random.int(1, 4),
    redialMsMax: random.skewed(1, 1_000),
    refusedChance: random.chance(0.6) ? 0 : 0.5,
    impostorChance: random.chance(0.85) ? 0 : 0.2,
  };
}

function drawLanes(random: Random, deadAfterMs: number, tiny: boolean): LanePlan[] {
  const count = random.int(1, 3);
  return Array.from({ length: count }, () => drawLane(random, deadAfterMs, tiny));
}

/** A lane that, while it has no fault, answers a heartbeat well before its session would give it up. */
function drawLane(random: Random, deadAfterMs: number, tiny: boolean): LanePlan {
  const patienceMs = deadAfterMs / 8;
  const queueBytes = random.skewed(1, 256 * KIB);
  const bytesPerMsMin = Math.ceil((queueBytes + OVERSHOOT_BYTES) / patienceMs);
  const piece = random.chance(0.3) ? 1 : random.int(1, 40);
  return {
    latencyMs: random.skewed(0, Math.min(150, patienceMs)),
    jitterMs: random.chance(0.5) ? 0 : random.skewed(0, Math.min(100, patienceMs)),
    bytesPerMs: Math.max(bytesPerMsMin, random.skewed(10, 20_000)),
    queueBytes,
    pieceBytes: tiny ? piece : random.pick([1400, 16 * KIB, 64 * KIB, 300 * KIB]),
  };
}

function drawNode(random: Random): NodePlan {
  const [min, max] = random.chance(0.25) ? [40 * KIB, 200 * KIB] : [400 * KIB, 8192 * KIB];
  return {
    poolBytes: random.skewed(min, max),
    sessionBuffer: 2 * random.skewed(min, max),
    streamWindow: random.skewed(16 * KIB, 1024 * KIB),
    streams: random.chance(0.08) ? random.int(1, 4) : 1000,
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
  const manner = { patient: random.chance(0.5), stuck: random.chance(0.3) };
  const plans: ConversationPlan[] = [];
  for (let i = 0; i < count; i++) {
    plans.push({
      opener: random.chance(0.5) ? 0 : 1,
      openAtMs: random.int(0, faultPhaseMs),
      answer: random.chance(0.85) ? 'accept' : random.pick(['refuse', 'never'] as const),
      answerAfterMs: random.chance(0.5) ? 0 : random.skewed(0, 1_000),
      deliversEarly: random.chance(0.3),
      apps: [drawApp(random, bytesMax, manner, false), drawApp(random, bytesMax, manner, true)],
    });
  }
  return plans;
}

/** What is common to the applications of a run. */
interface Manner {
  /** None gives up. */
  readonly patient: boolean;
  /** Some wait for the end of the faults. */
  readonly stuck: boolean;
}

function drawApp(
  random: Random,
  bytesMax: number,
  { patient, stuck }: Manner,
  answers: boolean,
): AppPlan {
  const bytes = random.chance(0.3) ? random.int(0, bytesMax) : random.skewed(0, bytesMax);
  const chunkBytes = random.skewed(Math.max(1, Math.floor(bytes / 300)), 64 * KIB);
  const readBytes = random.skewed(Math.max(1, Math.floor(bytesMax / 300)), 64 * KIB);
  const reads = random.pick(['at-once', 'at-once', 'later', 'dribble', 'stuck'] as const);
  return {
    bytes,
    chunkBytes,
    writeEveryMs: random.chance(0.6) ? 0 : random.skewed(1, 100),
    writeStuckAt: stuck && random.chance(0.2) ? random.int(0, bytes) : Infinity,
    endsAfterPeer: answers && random.chance(0.4),
    reads: reads === 'stuck' && !stuck ? 'later' : reads,
    readEveryMs: random.skewed(1, 200),
    readBytes,
    resetsAtEnd: patient ? 'no' : random.pick(['no', 'no', 'no', 'instead', 'behind'] as const),
    resetAfterMs: !patient && random.chance(0.15) ? random.skewed(0, 5_000) : undefined,
  };
}
