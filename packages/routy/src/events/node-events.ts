import type { LaneCode, LaneEnd, SessionEnd } from '@routy/link/driver';
import { endText } from '@routy/link/peers';
import type { Lane } from '@routy/link/transport';
import { errorText, RoutyError } from '@routy/proto/base';
import type { EnrolmentEvent } from '../enrol/enrol-protocol.ts';
import type { Log, LogFields } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { LiveSession } from '../sessions/live-sessions.ts';
import type { RefusalCode, ServiceRefusal } from '../status/results.ts';
import type { ForwardStatus, NodeStatus, ReloadReport } from '../status/status.ts';
import { Flaps } from './flaps.ts';
import { laneHint } from './lane-hint.ts';

/** What is told of a forward. */
interface ToldForward {
  readonly name: string;
  /** `site/service`. */
  readonly to: string;
  /** What to do about its error. */
  readonly hint: string | undefined;
  status(): ForwardStatus;
}

/**
 * What the node tells its operator: one line for each thing somebody would act on, nothing for a
 * single connection at `info`. Failures that repeat go through `Log.failure`, which counts them.
 */
export class NodeEvents {
  readonly #log: Log;
  readonly #metrics: Metrics;

  readonly #nowMs: () => number;
  readonly #flaps = new Flaps();
  /** Since when each lane is up, by its id. */
  readonly #upMs = new WeakMap<LiveSession, Map<number, number>>();

  constructor(log: Log, metrics: Metrics, nowMs = () => performance.now()) {
    this.#log = log;
    this.#metrics = metrics;
    this.#nowMs = nowMs;
  }

  started(node: {
    site: string;
    node: string;
    listening: NodeStatus['listening'];
    peers: number;
  }): void {
    const { address, error } = node.listening ?? { address: null, error: null };
    const fields = { ...node, listening: address };
    const where =
      address === null
        ? 'dials only'
        : error === null
          ? `listening for lanes on ${address}`
          : `NOT YET listening for lanes on ${address}`;
    this.#log.info('node-up', `node ${node.site}/${node.node} is up, ${where}`, fields);
  }

  /** Told once, where it is not the one that is configured. */
  dataPlane({ configured, inUse, reason }: NodeStatus['dataPlane']): void {
    if (reason === null) return;
    const text = `the data plane is ${inUse}, not ${configured} as configured: ${reason}`;
    this.#log.warn('data-plane', text, { configured, inUse, reason });
  }

  undrained(sessionsWaiting: number): void {
    this.#log.info('undrain', 'takes new streams again', { sessionsWaiting });
  }

  draining(streams: number, drainMs: number): void {
    this.#log.info('drain', `draining: ${streams} streams may go on for ${drainMs} ms`, {
      streams,
      drainMs,
    });
  }

  reloaded({ changes, restartRequired, streamsReset }: ReloadReport): void {
    const what = changes.length === 0 ? 'nothing changed' : changes.join('; ');
    const fields = { changes, restartRequired, streamsReset };
    this.#log.info('reload', `configuration reloaded: ${what}`, fields);
    if (restartRequired.length === 0) return;
    const keys = restartRequired.join(', ');
    this.#log.warn('restart-required', `changed in the file but not in force: ${keys}`, {
      restartRequired,
      hint: 'Restart the node to put them in force.',
    });
  }

  reloadRefused(error: unknown): void {
    const reason = errorText(error);
    const known = error instanceof RoutyError ? error.hint : undefined;
    this.#log.error('reload-refused', `configuration not reloaded, nothing changed: ${reason}`, {
      reason,
      hint: known ?? 'routy check shows what is wrong with the file.',
    });
  }

  /** The last line of a node, behind what was counted of lanes and sessions before. */
  stopped(streamsReset: number): void {
    this.#log.tellCounted();
    this.#log.info('node-down', `node stopped, ${streamsReset} streams were still open`, {
      streamsReset,
    });
  }

  sessionUp(session: LiveSession, direction: 'dialled' | 'accepted'): void {
    this.#log.news('info', 'session-up', `session with ${session.name} is up`, {
      peer: session.name,
      direction,
      remoteAddress: session.remoteAddress,
      sessionId: session.driver.sessionId,
      security: session.security,
    });
  }

  sessionDown(session: LiveSession, end: SessionEnd, upMs: number): void {
    const rttMs = session.driver.stats().rttMs?.toFixed(3);
    const level = ORDERLY.has(end.code) ? 'info' : 'warn';
    this.#log.news(level, 'session-down', `session with ${session.name} is down: ${endText(end)}`, {
      peer: session.name,
      code: end.code,
      reason: end.reason,
      hint: laneHint(end),
      remote: end.remote,
      rttMs: rttMs === undefined ? undefined : Number(rttMs),
      upMs,
    });
  }

  /** A lane carries a session, its first one or a further one. */
  laneUp(session: LiveSession, laneId: number, lane: Lane): void {
    if (lane.direction === 'dialled') this.#metrics.dialAttempt('established');
    const lanes = this.#upMs.get(session) ?? new Map<number, number>();
    this.#upMs.set(session, lanes.set(laneId, this.#nowMs()));
    this.#tell('info', 'lane-up', `lane ${laneId} with ${session.name} is up`, {
      peer: session.name,
      epoch: laneId,
      remoteAddress: lane.remoteAddress,
      localAddress: lane.localAddress,
    });
  }

  /** A lane that carried a session is gone; the end of the session itself tells of its lanes. */
  laneDown(session: LiveSession, end: LaneEnd): void {
    const orderly = ORDERLY.has(end.code);
    if (!orderly) this.#metrics.laneLost(end.code);
    const upMs = this.#upMs.get(session)?.get(end.laneId);
    this.#upMs.get(session)?.delete(end.laneId);
    if (end.withSession) return;
    if (!orderly && upMs !== undefined) this.#flaps.lost(session.name, upMs, this.#nowMs());
    const { laneId, code, reason, remote, lanesLeft } = end;
    const message = `lane ${laneId} with ${session.name} is down: ${endText(end)}`;
    const [level, event] = orderly
      ? (['info', 'lane-down'] as const)
      : (['warn', 'lane-lost'] as const);
    this.#tell(level, event, message, {
      peer: session.name,
      epoch: laneId,
      code,
      reason,
      remote,
      lanesLeft,
    });
  }

  /** The session waits for a lane. */
  sessionSuspended(session: LiveSession): void {
    const { trouble, name, driver } = session;
    const { streams } = driver.stats();
    this.#tell('warn', 'session-suspended', `session with ${name} waits: ${trouble?.reason}`, {
      peer: name,
      reason: trouble?.reason,
      hint: trouble?.hint,
      streams,
    });
  }

  /** A lane carries the session again; `streamsReset` are no longer allowed to the peer. */
  sessionResumed(session: LiveSession, suspendedMs: number, streamsReset: number): void {
    const { name, driver } = session;
    const { streams, bytesReplayed } = driver.stats();
    this.#metrics.sessionResumed(name);
    const afterMs = Math.round(suspendedMs);
    this.#tell('info', 'session-resumed', `session with ${name} goes on after ${afterMs} ms`, {
      peer: name,
      suspendedMs: afterMs,
      streams,
      streamsReset,
      bytesReplayed,
    });
  }

  /** Of the lanes with a peer: counted, not repeated, once they come and go all the time. */
  #tell(
    level: 'info' | 'warn',
    event: string,
    message: string,
    fields: LogFields & { readonly peer: string },
  ): void {
    const { peer, code } = fields;
    if (!this.#flaps.has(peer, this.#nowMs())) {
      this.#log.news(level, event, message, fields);
      return;
    }
    const flapping = { ...fields, flapping: true };
    const about = { peer, code, flapping: true };
    this.#log.failure(event, `${message}; its lanes keep failing`, flapping, about);
  }

  /** It is configured no more; `peer` is its name when no other session with that node is left. */
  peerRemoved(addresses: string, peer: string | undefined): void {
    this.#log.forget({ addresses });
    if (peer !== undefined) this.#log.forget({ peer });
  }

  /** A dialled lane or session came to nothing before it was up. */
  dialFailed(failure: DialFailure): void {
    const { peer, session, addresses, code, reason, hint, attempts, delayMs } = failure;
    this.#metrics.dialAttempt(code);
    const message = `${MISSING[session]} ${peer ?? addresses}: ${reason}`;
    const fields = { addresses, code, reason, hint: hint ?? undefined, attempts, delayMs };
    const named = peer === null ? fields : { peer, ...fields };
    this.#log.failure('dial-failed', message, named, { addresses, code });
  }

  /**
   * A lane that another node dialled was turned away, by either end. Of strangers neither where they
   * come from nor what they say makes a failure a new one: it costs them nothing.
   */
  laneRefused(refusal: {
    peer?: string;
    remoteAddress: string;
    code: string;
    cause?: string | undefined;
    reason: string;
    hint?: string | undefined;
    bytes?: number | undefined;
  }): void {
    this.#metrics.refusal(refusal.code);
    const { peer, remoteAddress, code, cause, hint, bytes } = refusal;
    const host = withoutPort(remoteAddress);
    const reason = refusal.reason.replaceAll(remoteAddress, host);
    const came = bytes === undefined ? '' : ` (${bytes} bytes came)`;
    const message = `lane from ${peer ?? host} refused: ${reason}${came}`;
    const fields = { peer, host, code, reason, hint, bytes };
    // Not the address: a stranger may have as many as it likes.
    this.#log.failure('lane-refused', message, fields, { peer, code, cause });
  }

  /** The peer may open more services than a list tells. */
  offersCut(peer: string, services: number, leftOut: number): void {
    const message = `${peer} is not told of ${leftOut} of the ${services} services it may open: a list has no room for more`;
    const hint = 'Allow it fewer services: what it is not told of is not reached from there.';
    this.#log.failure('offers-cut', message, { peer, services, leftOut, hint }, { peer });
  }

  streamOpened(service: string, peer: string): void {
    this.#log.debug('stream-opened', 'stream to a service opened', { service, peer });
  }

  forwardOpened(forward: ToldForward, peer: string): void {
    this.#log.debug('forward-opened', 'connection through a forward opened', {
      to: forward.to,
      peer,
    });
  }

  streamRefused({ service, isOurs, peer, code, reason }: ServiceRefusal): void {
    this.#metrics.refusal(code);
    const message = `stream of ${peer} to service ${service} refused: ${reason}`;
    const about = { peer, code, service: isOurs ? service : undefined };
    this.#log.failure('stream-refused', message, { peer, service, code, reason }, about);
  }

  /** A peer opens more than its limits here allow; services never hear of these. */
  streamsRefused(peer: string, streams: number, reason: string): void {
    const code = 'overload';
    this.#metrics.refusal(code, streams);
    const message = `${streams} streams of ${peer} refused: ${reason} (${code})`;
    const fields = { peer, code, reason, streams, hint: OVERLOAD_HINT };
    this.#log.failure('stream-refused', message, fields, { peer, code });
  }

  /** After a lane was lost the ends could not agree how far the stream had come. */
  streamMismatch(peer: string, stream: number, reason: string): void {
    const code = 'resume-mismatch';
    this.#metrics.refusal(code);
    const message = `stream ${stream} with ${peer} reset: ${reason} (${code})`;
    const hint = laneHint({ code: 'protocol-error', remote: false });
    const fields = { peer, stream, code, reason, hint };
    // The reason is full of offsets.
    this.#log.failure('stream-reset', message, fields, { peer, code });
  }

  forwardRefused(forward: ToldForward, code: RefusalCode, reason: string): void {
    this.#metrics.refusal(code);
    const message = `connection through ${forward.name} failed: ${reason === '' ? code : reason}`;
    const fields = { forward: forward.name, code, reason };
    this.#log.failure('forward-refused', message, fields, { forward: forward.name, code });
  }

  forwardState(forward: ToldForward): void {
    const { listen, to, state, reason } = forward.status();
    const fields = { listen, to, state };
    if (state === 'error') {
      this.#metrics.listenerRestart(listen);
      const why = { ...fields, reason: reason ?? undefined, hint: forward.hint };
      this.#log.failure('forward-error', `forward to ${to}: ${reason}`, why, { listen });
      return;
    }
    const message =
      state === 'listening'
        ? `forward ${listen} leads to ${to}`
        : `forward ${listen} to ${to} is ${state}: ${reason}`;
    const said = { ...fields, reason: reason ?? undefined };
    this.#log.news('info', `forward-${state}`, message, said, { listen });
  }

  acceptFailed(forward: ToldForward, error: RoutyError): void {
    this.#metrics.refusal('accept-failed');
    this.#log.failure('accept-failed', `forward ${forward.name} could not accept a connection`, {
      forward: forward.name,
      code: error.code,
      reason: error.message,
      hint: error.hint,
    });
  }

  /** A newcomer was given a certificate, or not. */
  enrolment(event: EnrolmentEvent): void {
    if (event.kind === 'enrolled') {
      const name = `${event.site}/${event.node}`;
      const message = `${name} enrolled from ${event.remote}`;
      this.#log.news('info', 'enrolled', message, { peer: name, serial: event.serial });
      return;
    }
    const { code, reason, by } = event;
    const host = withoutPort(event.remote);
    // A code of the other side is its own words.
    const known = by === 'us' ? code : 'enrol-refused';
    this.#metrics.refusal(known);
    const message = `enrolment from ${host} refused: ${reason}`;
    this.#log.failure(
      'enrolment-refused',
      message,
      { host, code, reason, by },
      { code: known, by },
    );
  }

  /** The address where other nodes dial this one. */
  lanesListening(address: string): void {
    this.#log.info('lanes-listening', `listening for lanes on ${address}`, { address });
  }

  lanesError(address: string, error: RoutyError): void {
    this.#metrics.listenerRestart(address);
    this.#log.failure('lanes-error', error.message, {
      address,
      code: error.code,
      hint: error.hint,
    });
  }
}

export interface DialFailure {
  /** `site/node`, or null while nobody ever answered. */
  readonly peer: string | null;
  /** What there was with the peer, without the lane that failed. */
  readonly session: 'none' | 'suspended' | 'up';
  /** As configured, joined by commas. */
  readonly addresses: string;
  readonly code: string;
  readonly reason: string;
  readonly hint: string | null;
  readonly attempts: number;
  readonly delayMs: number;
}

/** The port of a dialler is another one each time and would make every failure a new one. */
function withoutPort(hostPort: string): string {
  return hostPort.replace(/:\d+$/, '');
}

const MISSING = {
  none: 'no session with',
  suspended: 'still no lane for the session with',
  up: 'no further lane for the session with',
} as const;

const ORDERLY: ReadonlySet<LaneCode> = new Set(['normal', 'shutdown', 'taken-over', 'lane-done']);

const OVERLOAD_HINT =
  'routy status shows what each session holds and may hold; [limits] in routy.toml says how much in all.';
