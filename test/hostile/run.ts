import { BEHAVIOURS } from './behaviours/behaviours.ts';
import { besideOthers, type Calm, partBeside } from './calm.ts';
import { type AttackResult, type CpuUse, HostileLab } from './lab.ts';
import { type Figures, linesInWorstMinute, measureBulk, measureEcho, rssMiB } from './measure.ts';

/** What the honest tunnel was like while one behaviour went on. */
export interface Outcome extends AttackResult {
  readonly name: string;
  /** Undefined where the honest connection failed: why is in `failure`. */
  readonly echo: Figures | undefined;
  readonly bulkMBps: number | undefined;
  /** Just before, when nothing else went on. */
  readonly calmMBps: number;
  /** Of that bulk, beside processes that take as much CPU time as the hostile ones. */
  readonly bulkShare: number | undefined;
  /** Used meanwhile, per second. */
  readonly cpu: CpuUse | undefined;
  /** The most in the meantime. */
  readonly rssMiB: number;
  /** Lines of gray's log in the meantime. */
  readonly logLines: number;
  readonly failure: string | undefined;
}

export interface Quiet {
  readonly echo: Figures;
  /** Nothing else going on; then beside processes that only take CPU time, in order of that. */
  readonly bulk: readonly Calm[];
  readonly rssMiB: number;
}

export interface RunReport {
  readonly quiet: Quiet;
  readonly outcomes: readonly Outcome[];
  readonly rssMiBMax: number;
  readonly logLinesInWorstMinute: number;
  /** After the last attack: what gray still holds once it is idle, or after the time for that. */
  readonly after: { readonly streams: number; readonly heldBytes: number; readonly rssMiB: number };
}

export interface RunOptions {
  /** Names of behaviours; a name of which one is a part counts. All when empty. */
  readonly only: readonly string[];
  /** Of each behaviour: half of it for echoes, half for bulk. */
  readonly seconds: number;
  /**
   * Whether an outcome is within the limits, where speed is judged: then the calm is measured before
   * each, and a behaviour that was beyond them counts by two of three.
   */
  readonly isGood?: (outcome: Outcome, quiet: Quiet) => boolean;
  /** How long gray may take to be idle after the last attack. */
  readonly idleSeconds: number;
  readonly onOutcome?: (outcome: Outcome) => void;
}

/** How long the honest bulk is measured before each behaviour: machines have moods. */
const CALM_SECONDS = 1;

const RSS_SAMPLE_MS = 100;

/** Has the attacker do one thing after the other beside an honest tunnel, and measures that. */
export async function runHostile(options: RunOptions): Promise<RunReport> {
  const lab = await HostileLab.start();
  try {
    return await new Run(lab, options).all();
  } finally {
    await lab.stop();
  }
}

class Run {
  readonly #lab: HostileLab;
  readonly #options: RunOptions;
  #rssMiBMax = 0;
  /** Of the behaviour that goes on. */
  #rssMiBPeak = 0;

  constructor(lab: HostileLab, options: RunOptions) {
    this.#lab = lab;
    this.#options = options;
  }

  async all(): Promise<RunReport> {
    const sampler = setInterval(() => this.#sampleRss(), RSS_SAMPLE_MS);
    try {
      const quiet = await this.#quiet();
      const outcomes: Outcome[] = [];
      for (const name of this.#names()) {
        const outcome = await this.#judged(name, quiet);
        outcomes.push(outcome);
        this.#options.onOutcome?.(outcome);
      }
      const after = await this.#idleAgain(quiet.rssMiB);
      const logLinesInWorstMinute = linesInWorstMinute(this.#lab.grayLog());
      return { quiet, outcomes, rssMiBMax: this.#rssMiBMax, logLinesInWorstMinute, after };
    } finally {
      clearInterval(sampler);
    }
  }

  async #judged(name: string, quiet: Quiet): Promise<Outcome> {
    const first = await this.#under(name, quiet);
    const { isGood } = this.#options;
    if (isGood === undefined || isGood(first, quiet)) return first;
    const again = [await this.#under(name, quiet), await this.#under(name, quiet)];
    return again.every((outcome) => isGood(outcome, quiet)) ? again[0]! : first;
  }

  #names(): string[] {
    const { only } = this.#options;
    const names = BEHAVIOURS.map(({ name }) => name);
    return only.length === 0
      ? names
      : names.filter((name) => only.some((part) => name.includes(part)));
  }

  async #quiet(): Promise<Quiet> {
    const { honestEcho, honestSource } = this.#lab.ports;
    const seconds = Math.max(2, this.#options.seconds / 2);
    await measureBulk(honestSource, 1);
    const echo = await measureEcho(honestEcho, seconds);
    const bulk = await besideOthers(() => measureBulk(honestSource, seconds));
    return { echo, bulk, rssMiB: rssMiB(this.#lab.grayPid) };
  }

  async #under(name: string, quiet: Quiet): Promise<Outcome> {
    const { seconds, isGood } = this.#options;
    const calmMBps =
      isGood === undefined
        ? quiet.bulk[0]!.bulkMBps
        : await measureBulk(this.#lab.ports.honestSource, CALM_SECONDS);
    const lines = this.#lab.grayLog().length;
    this.#rssMiBPeak = this.#sampleRss();
    const attack = this.#lab.attack({ name, seconds });
    let echo: Figures | undefined;
    let bulkMBps: number | undefined;
    let cpu: CpuUse | undefined;
    let failure: string | undefined;
    try {
      echo = await measureEcho(this.#lab.ports.honestEcho, seconds / 2);
      const before = this.#lab.cpuSeconds();
      bulkMBps = await measureBulk(this.#lab.ports.honestSource, seconds / 2);
      cpu = perSecond(before, this.#lab.cpuSeconds(), seconds / 2);
    } catch (error) {
      failure = (error as Error).message;
    }
    const result = await attack;
    if (!this.#lab.grayRuns) throw new Error(`${name} ended gray:\n${this.#endOfLog()}`);
    const bulkShare = cpu && bulkMBps! / (calmMBps * partBeside(quiet.bulk, cpu.hostile));
    const logLines = this.#lab.grayLog().slice(lines).split('\n').length - 1;
    const honest = { echo, calmMBps, bulkMBps, bulkShare, cpu, failure };
    return { ...result, name, ...honest, rssMiB: this.#rssMiBPeak, logLines };
  }

  /** Waits until gray holds nothing of the attacks any more. */
  async #idleAgain(quietRssMiB: number): Promise<RunReport['after']> {
    const untilMs = performance.now() + this.#options.idleSeconds * 1000;
    for (;;) {
      const { peers, buffers } = await this.#lab.status();
      const streams = peers.reduce((sum, { session }) => sum + (session?.streams ?? 0), 0);
      const after = { streams, heldBytes: buffers.usedBytes, rssMiB: this.#sampleRss() };
      const idle = streams === 0 && after.heldBytes === 0 && after.rssMiB < 1.3 * quietRssMiB;
      if (idle || performance.now() > untilMs) return after;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  #sampleRss(): number {
    if (!this.#lab.grayRuns) return 0;
    const rss = rssMiB(this.#lab.grayPid);
    this.#rssMiBMax = Math.max(this.#rssMiBMax, rss);
    this.#rssMiBPeak = Math.max(this.#rssMiBPeak, rss);
    return rss;
  }

  #endOfLog(): string {
    return this.#lab.grayLog().split('\n').slice(-20).join('\n');
  }
}

function perSecond(from: CpuUse, to: CpuUse, seconds: number): CpuUse {
  return { gray: (to.gray - from.gray) / seconds, hostile: (to.hostile - from.hostile) / seconds };
}
