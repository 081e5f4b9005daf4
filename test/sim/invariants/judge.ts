import type { LaneCode } from '../../../packages/proto/src/wire/codes.ts';
import { must } from '../failure.ts';
import type { Ending, Port, SimSession } from '../nodes/sim-session.ts';
import type { World } from '../world.ts';

/** An acceptor keeps a session without a lane so many times longer than its dialler. */
const ACCEPTOR_PATIENCE = 1.25;

/** What a timer may be late, in ms of a node's clock. */
const TIMER_SLACK_MS = 1;

/** What the loss of a lane is called. */
const LOSSES: readonly LaneCode[] = ['lane-lost', 'heartbeat-timeout', 'handshake-timeout'];

/** Never between honest peers. */
const NEVER: readonly LaneCode[] = [
  'protocol-error',
  'internal',
  'overload',
  'version-mismatch',
  'identity-mismatch',
];

/** Says which ends of lanes and sessions are right, given what has happened to them. */
export class Judge {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** A measured clock offset is off by at most half of the RTT it came with. */
  clock(
    session: SimSession,
    sample: { readonly rttMs: number; readonly clockOffsetMs: number },
  ): void {
    const { plan, nodes } = this.#world;
    const truth = nodes[session.node === 0 ? 1 : 0].wallMs - session.owner.wallMs;
    const error = Math.abs(sample.clockOffsetMs - truth);
    // Microseconds on the wire, and clocks that drift while a frame is under way.
    const bound = sample.rttMs / 2 + 0.01 + 0.002 * (sample.rttMs + plan.heartbeatIntervalMs);
    const { name } = session;
    must(error <= bound, () => `${name}: clock offset wrong by ${error} ms, RTT ${sample.rttMs}`);
    const least = 2 * Math.min(...plan.lanes.map((lane) => lane.latencyMs)) * 0.999 - 0.01;
    must(sample.rttMs >= least, () => `${name}: RTT ${sample.rttMs} below ${least}`);
  }

  /** A suspended session is given up in time, unless it comes back. */
  suspended(session: SimSession): void {
    const { suspendedAtMs } = session;
    const since = this.#world.clock.nowMs;
    const look = () => {
      const over = session.closed !== undefined || session.suspendedAtMs !== suspendedAtMs;
      if (over || !session.process.alive || session.owner.stoodStillSince(since)) return;
      const dueMs = session.heardAnyMs + this.#patienceMs(session) + TIMER_SLACK_MS;
      must(
        session.nowMs < dueMs,
        () => `${session.name}: suspended, and alive ${session.nowMs - session.heardAnyMs} ms on`,
      );
      this.#world.clock.at(session.owner.virtualMs(dueMs), look);
    };
    this.#world.clock.after(TIMER_SLACK_MS, look);
  }

  resumed(session: SimSession, suspendedMs: number): void {
    const { name, suspendedAtMs, nowMs } = session;
    must(suspendedAtMs !== undefined, () => `${name}: resumed without having been suspended`);
    const differenceMs = Math.abs(nowMs - suspendedAtMs - suspendedMs);
    must(differenceMs < 0.01, () => `${name}: says suspended for ${suspendedMs} ms`);
  }

  laneClosed(session: SimSession, port: Port, { code, reason, remote }: Ending): void {
    const { lane, up } = port;
    const name = `${session.name} lane ${port.epoch}`;
    if (lane.crooked) {
      must(!up, () => `${name}: established with an impostor`);
      return;
    }
    must(!NEVER.includes(code), () => `${name}: ${code}: ${reason}`);
    const troubled = lane.faulted || lane.left[1 - session.node]!;
    // Without a time to resume in, the loss of one lane ends the session, and so the others.
    const withOthers = session.core.closed && this.#world.plan.resumeTimeMs === 0;
    if (LOSSES.includes(code))
      must(troubled || withOthers, () => `${name}: ${code} on a lane without fault`);
    if (code === 'stale-epoch') must(remote && !up, () => `${name}: ${code}: ${reason}`);
    if (code === 'lane-done' && !remote) {
      const crowded = session.crowded || this.#other(session)?.crowded;
      must(lane.done || withOthers || crowded === true, () => `${name}: ${code}: ${reason}`);
    }
    if (code === 'settings-mismatch') checkSettingsReason(name, reason);
  }

  sessionClosed(session: SimSession, { code, reason, remote }: Ending): void {
    const { name, core } = session;
    const why = () => `${name}: ${code} ${remote ? 'by peer' : 'here'}: ${reason}`;
    must(core.pollTimeout() === undefined, () => `${name}: a timer after the end`);
    must(core.closed && !core.established, () => `${name}: closed, and does not say so`);
    must(core.streamCount === 0, () => `${name}: closed with ${core.streamCount} streams`);
    must(core.bufferedBytes === 0, () => `${name}: closed with ${core.bufferedBytes} bytes`);
    must(!NEVER.includes(code), why);
    const fresh = session.peerHello === undefined;
    const { plan } = this.#world;
    const other = this.#other(session);
    const otherOver = isOver(other);
    // A dialler that never heard the answer has nothing to resume, and takes its session back.
    const takenBack = remote && session.node === 1 && otherOver && other?.peerHello === undefined;
    const lost = !remote && (fresh || plan.resumeTimeMs === 0);
    if (LOSSES.includes(code)) must(lost || takenBack, why);
    else if (code === 'lane-done') must(plan.resumeTimeMs === 0, why);
    else if (code === 'resume-timeout' && remote) must(session.node === 1 && otherOver, why);
    else if (code === 'resume-timeout') this.#givenUp(session);
    else if (code === 'shutdown') must(session.closing || (remote && other?.closing === true), why);
    else if (code === 'taken-over') must(this.#takenOver(session, remote), why);
    else if (code === 'unknown-session') must(session.node === 0 && remote && otherOver, why);
    else must(fresh && this.#refusable(code), why);
  }

  /** Given up neither too early nor too late. */
  #givenUp(session: SimSession): void {
    const { name, nowMs, heardMs, heardAnyMs, suspendedAtMs, owner } = session;
    const patienceMs = this.#patienceMs(session);
    must(suspendedAtMs !== undefined, () => `${name}: given up while it had a lane`);
    must(
      nowMs - heardMs >= patienceMs - 0.001,
      () => `${name}: given up ${nowMs - heardMs} ms after the last byte, not ${patienceMs}`,
    );
    if (owner.stoodStillSince(owner.virtualMs(heardMs))) return;
    const dueMs = Math.max(heardAnyMs + patienceMs, suspendedAtMs) + TIMER_SLACK_MS;
    must(nowMs <= dueMs, () => `${name}: given up ${nowMs - dueMs} ms late`);
  }

  /** The dialler has given it up; or a HELLO that was late for its own session came in between. */
  #takenOver(session: SimSession, remote: boolean): boolean {
    const [dialler, acceptor] = this.#world.ends(session.id);
    const displacedBy = acceptor?.displacedBy;
    if (displacedBy === undefined) return false;
    if (session.node === 1 && !remote && isOver(dialler)) return true;
    return isOver(this.#world.ends(displacedBy)[0]);
  }

  #refusable(code: LaneCode): boolean {
    const { plan } = this.#world;
    // The acceptor takes this process for the older of two.
    if (code === 'stale-epoch') return true;
    if (code === 'settings-mismatch') return plan.settingsDiffer;
    return code === 'not-authorized' && plan.admitRefusedChance > 0;
  }

  #patienceMs(session: SimSession): number {
    return this.#world.plan.resumeTimeMs * (session.node === 0 ? 1 : ACCEPTOR_PATIENCE);
  }

  #other(session: SimSession): SimSession | undefined {
    return this.#world.ends(session.id)[session.node === 0 ? 1 : 0];
  }
}

function isOver(session: SimSession | undefined): boolean {
  return session === undefined || session.closed !== undefined || !session.process.alive;
}

/** Both values and both ends are named. */
function checkSettingsReason(name: string, reason: string): void {
  const named = ['heartbeat_interval', '5s', '3s'].every((word) => reason.includes(word));
  must(named, () => `${name}: the refusal names too little: ${reason}`);
}
