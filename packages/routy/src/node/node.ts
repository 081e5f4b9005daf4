import { randomBytes } from 'node:crypto';
import { createPools, type SessionCommons, startSession } from '@routy/link/driver';
import type { SessionFactory } from '@routy/link/peers';
import { type Lane, libcLoaded, type TlsCredentials } from '@routy/link/transport';
import { nextDelayMs, RoutyError } from '@routy/proto/base';
import type { Config, LogLevel } from '../config/types.ts';
import { NodeEvents } from '../events/node-events.ts';
import { Troubles } from '../events/troubles.ts';
import { sharedSettings } from '../fabric/settings.ts';
import { Forwards, type ForwardsHost } from '../forwards/forwards.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { AcceptedSessions } from '../peers/accepted-sessions.ts';
import { Peers } from '../peers/peers.ts';
import { SessionHost } from '../peers/session-host.ts';
import { Services } from '../services/services.ts';
import { type LiveSession, LiveSessions } from '../sessions/live-sessions.ts';
import { PeerTotals } from '../sessions/peer-totals.ts';
import { nodeClockMs } from '../status/clock.ts';
import type { NodeControl } from '../status/control.ts';
import type {
  DrainReport,
  NodeStatus,
  PingReply,
  ReloadReport,
  UndrainReport,
} from '../status/status.ts';
import { CertificateWatch } from './certificate-watch.ts';
import { type DataPlane, dataPlane, type LoadPlane } from './data-plane.ts';
import { LanesListener } from './lanes-listener.ts';
import { applyConfig } from './reload.ts';
import { nodeStatus } from './status-report.ts';
import { type PeerClock, Vitals } from './vitals.ts';

export interface NodeOptions {
  readonly config: Config;
  readonly credentials: TlsCredentials;
  /** Of Routy, for peers and status: `0.1.0`. */
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Reads the configuration anew, for a reload; rejects with what is wrong with it. */
  loadConfig(): Promise<Config>;
  /** The same for key and certificate, in date or not; without it they stay as they are. */
  loadCredentials?(): Promise<TlsCredentials>;
  /** `startSession` unless a test has another. */
  readonly sessions?: SessionFactory;
  /** What its owner sees going wrong; its own unless given. */
  readonly troubles?: Troubles;
  /** `nodeClockMs` unless a test has another. */
  readonly nowMs?: () => number;
  /** That of this process unless a test has another. */
  readonly loadPlane?: LoadPlane;
}

/** A node that was started. */
export interface RunningNode extends NodeControl {
  /** Drains, then ends every session with `shutdown`. */
  stop(): Promise<void>;
  /**
   * For a process that ends now: tells the peers and resets what is open before it returns. A
   * process that just ends leaves its connections to the system, which closes them in order, and
   * half a transfer would look complete. Resolves when what the peers are told has left the
   * process, or cannot; who ends before that may leave them waiting for a session to come back.
   */
  resetNow(reason: string): Promise<void>;
  /** Resolves when the node has stopped. */
  readonly done: Promise<void>;
}

/** How often a stopping node looks whether what it waits for has come, in ms. */
const POLL_MS = 10;

/** How long the last frames of a stopping node may take to leave the process, in ms. */
const FLUSH_MS = 1000;

/**
 * Starts a node: listens for lanes, dials its peers, opens its forwards as their services come.
 *
 * An address that cannot be had yet is tried again until it can.
 *
 * @throws RoutyError `credentials-invalid`
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const plane = await dataPlane(options.config.node.dataPlane, options.loadPlane);
  const node = new RoutyNode(options, plane);
  await node.start();
  return node;
}

class RoutyNode implements RunningNode {
  readonly done: Promise<void>;
  readonly #options: NodeOptions;
  readonly #events: NodeEvents;
  readonly #nowMs: () => number;
  readonly #troubles: Troubles;
  readonly #startedAtMs: number;
  readonly #certificate: CertificateWatch;
  readonly #services: Services;
  readonly #live: LiveSessions;
  readonly #forwards: Forwards;
  readonly #host: SessionHost;
  readonly #peers: Peers;
  readonly #accepted: AcceptedSessions;
  readonly #lanes: LanesListener;
  readonly #plane: DataPlane;
  #config: Config;
  #restartRequired: readonly string[] = [];
  #drained: Promise<void> | undefined;
  #stopping = false;
  #reloading: Promise<unknown> = Promise.resolve();
  #resolveDone!: () => void;
  #stopVitals: () => void = () => undefined;

  constructor(options: NodeOptions, plane: DataPlane) {
    const { config, credentials, log, metrics } = options;
    this.#options = options;
    this.#config = config;
    this.#nowMs = options.nowMs ?? nodeClockMs;
    this.#troubles = options.troubles ?? new Troubles(log);
    this.#startedAtMs = this.#nowMs();
    this.#certificate = new CertificateWatch(credentials, {
      // Dates of certificates are those of the calendar, whatever the node measures spans with.
      nowMs: options.nowMs ?? Date.now,
      log,
    });
    this.#events = new NodeEvents(log, metrics);
    this.#plane = plane;
    this.#services = new Services(config.services.values(), {
      nowMs: this.#nowMs,
      sockets: this.#plane.sockets,
      onOpened: (service, peer) => this.#events.streamOpened(service, peer),
      onRefused: (refusal) => this.#events.streamRefused(refusal),
    });
    this.#live = new LiveSessions(
      (changes) => this.#forwards.update(changes),
      new PeerTotals({
        isConfigured: (peer) => this.#peers.includes(peer),
        onForgotten: (peer) => metrics.forgetPeer(peer),
      }),
    );
    this.#forwards = new Forwards(config.forwards, this.#forwardHost());
    this.#host = new SessionHost({
      commons: commonsOf(options),
      live: this.#live,
      services: this.#services,
      events: this.#events,
      nowMs: this.#nowMs,
      factory: options.sessions ?? startSession,
    });
    this.#accepted = new AcceptedSessions(this.#host);
    this.#lanes = new LanesListener({
      listen: (listen) => this.#plane.listen(listen),
      credentials: () => this.#certificate.credentials,
      stateDir: config.node.state,
      events: this.#events,
      onLane: (lane) => this.#accepted.onLane(lane),
    });
    this.#peers = new Peers(config.peers, this.#host, (dial) =>
      this.#plane.dial({ ...dial, credentials: this.#certificate.credentials }),
    );
    this.done = new Promise((resolve) => {
      this.#resolveDone = resolve;
    });
  }

  async start(): Promise<void> {
    const { config, metrics } = this.#options;
    await this.#lanes.start(config.listen?.address);
    metrics.bind(() => this.status());
    this.#tellNative();
    this.#events.dataPlane(this.#plane.status);
    this.#certificate.start();
    this.#forwards.start();
    this.#peers.start();
    this.#stopVitals = new Vitals(this.#options.log, this.#troubles, () => this.#clocks()).start();
    this.#events.started({
      site: config.node.site,
      node: config.node.name,
      listening: this.status().listening,
      peers: this.#peers.size,
    });
  }

  #tellNative(): void {
    const loaded = libcLoaded();
    if (!('missing' in loaded)) return;
    const text =
      'without koffi, which is optional: urgent bytes, vanished peers, memory after loads';
    this.#options.log.debug('no-native-calls', text, { reason: loaded.missing });
  }

  status(): NodeStatus {
    return nodeStatus(this.#drained === undefined ? 'running' : 'draining', {
      startedAtMs: this.#startedAtMs,
      version: this.#options.version,
      certificate: this.#certificate,
      listener: this.#lanes.current,
      dataPlane: this.#plane.status,
      host: this.#host,
      peers: this.#peers,
      accepted: this.#accepted,
      services: this.#services,
      forwards: this.#forwards,
      log: this.#options.log,
      troubles: this.#troubles,
      restartRequired: this.#restartRequired,
    });
  }

  reload(): Promise<ReloadReport> {
    // One after the other: each compares with what the one before has put in force.
    const report = this.#reloading.then(() => this.#reload());
    this.#reloading = report.catch(() => undefined);
    return report;
  }

  async ping(target: string, count: number): Promise<PingReply[]> {
    const byName = new Map(this.#upTo(target).map((session) => [session.name, session]));
    const replies: PingReply[] = [];
    for (let sequence = 1; sequence <= count; sequence += 1) {
      for (const [peer, { driver }] of byName) {
        const { rttMs, clockOffsetMs } = await driver.ping();
        replies.push({ peer, sequence, rttMs, clockOffsetMs });
      }
    }
    return replies;
  }

  async drain(): Promise<DrainReport> {
    this.#drained ??= this.#drain();
    await this.#drained;
    const { streams } = this.#host;
    return { drained: this.#drained !== undefined && streams === 0, streams };
  }

  undrain(): UndrainReport {
    if (this.#stopping) {
      throw new RoutyError('stopping', 'this node is stopping', {
        hint: 'start it again when it has stopped',
      });
    }
    if (this.#drained === undefined) return { undrained: false, sessionsWaiting: 0 };
    this.#drained = undefined;
    this.#services.undrain();
    this.#forwards.start();
    const sessionsWaiting = this.#host.undrain();
    this.#events.undrained(sessionsWaiting);
    return { undrained: true, sessionsWaiting };
  }

  async stop(): Promise<void> {
    if (this.#stopping) return this.done;
    this.#stopping = true;
    this.#certificate.stop();
    this.#peers.stopDialling();
    this.#accepted.beginNoMore('the node stops');
    await this.drain();
    // Not before: a session that lost its lanes could not come back, and what drains would be lost.
    await this.#lanes.close();
    this.#stopVitals();
    const streamsReset = this.#host.streams;
    const lanes = this.#host.sessions.lanes();
    this.#peers.close('the node stops');
    this.#accepted.close('the node stops');
    await flushed(lanes);
    this.#plane.close();
    this.#events.stopped(streamsReset);
    this.#resolveDone();
  }

  resetNow(reason: string): Promise<void> {
    const lanes = this.#host.sessions.lanes();
    // Whatever the state of the node is: what fails must not keep the rest from being reset.
    const steps = [
      // Nothing begins anew while the peers are told.
      () => this.#peers.stopDialling(),
      () => this.#accepted.beginNoMore(reason),
      () => this.#peers.close(reason),
      () => this.#accepted.close(reason),
      () => this.#forwards.resetAll(),
      () => this.#services.resetAll(),
    ];
    for (const step of steps) {
      try {
        step();
      } catch {}
    }
    return flushed(lanes);
  }

  logLevel(): LogLevel {
    return this.#options.log.level();
  }

  setLogLevel(level: LogLevel): void {
    this.#options.log.setLevel(level);
  }

  metricsText(): Promise<string> {
    return this.#options.metrics.text();
  }

  /** Sessions to answer a ping now; one that waits for a lane would keep the others waiting. */
  #upTo(target: string): LiveSession[] {
    const sessions = this.#live.to(target);
    const up = sessions.filter(({ driver }) => !driver.suspended);
    if (up.length > 0) return up;
    throw sessions.length > 0
      ? new RoutyError(
          'session-suspended',
          `the session to ${target} is suspended: no lane carries it at the moment`,
          {
            hint: 'routy status shows since when and why',
          },
        )
      : new RoutyError('no-session', `no session to ${target}`, {
          hint: 'routy status shows which peers are up, and why the others are not',
        });
  }

  #clocks(): PeerClock[] {
    return this.#live.all().map(({ name, driver }) => {
      return { peer: name, offsetMs: driver.stats().clockOffsetMs };
    });
  }

  async #drain(): Promise<void> {
    const { drainMs } = this.#config.node;
    const streams = this.#host.streams;
    this.#events.draining(streams, drainMs);
    this.#forwards.stop();
    this.#services.drain();
    this.#host.drain();
    const done = (): boolean => this.#host.streams === 0 || !this.#host.draining;
    await within(drainMs, done);
  }

  async #reload(): Promise<ReloadReport> {
    let after: Config;
    let credentials: TlsCredentials | undefined;
    try {
      after = await this.#options.loadConfig();
      credentials = await this.#options.loadCredentials?.();
      if (credentials !== undefined) this.#certificate.requireSame(credentials);
      // First, as it alone may fail: nothing else has changed then.
      await this.#lanes.listen(after.listen?.address);
    } catch (error) {
      this.#events.reloadRefused(error);
      throw error;
    }
    const { config, report } = applyConfig(this.#config, after, {
      services: this.#services,
      forwards: this.#forwards,
      peers: this.#peers,
      host: this.#host,
      log: this.#options.log,
    });
    this.#config = config;
    const renewed = credentials !== undefined && this.#certificate.renew(credentials);
    const whole = renewed ? withCertificate(report, this.#certificate) : report;
    this.#restartRequired = report.restartRequired;
    this.#events.reloaded(whole);
    return whole;
  }

  #forwardHost(): ForwardsHost {
    const { sockets } = this.#plane;
    return {
      candidates: (site, service) => this.#live.candidates(site, service),
      isReachable: (site, service) => this.#live.isReachable(site, service),
      watch: (site, service) => this.#live.watch(site, service),
      unwatch: (site, service) => this.#live.unwatch(site, service),
      whyUnreachable: (site, service) => this.#live.whyUnreachable(site, service),
      nowMs: this.#nowMs,
      makeServer: sockets && ((handlers) => sockets.server(handlers)),
      retryDelayMs: (attempt) => nextDelayMs({ attempt, random01: Math.random() }),
      onState: (forward) => this.#events.forwardState(forward),
      onAcceptError: (forward, error) => this.#events.acceptFailed(forward, error),
      onOpened: (forward, peer) => this.#events.forwardOpened(forward, peer),
      onRefused: (forward, code, reason) => this.#events.forwardRefused(forward, code, reason),
    };
  }
}

function commonsOf({ config, credentials, version }: NodeOptions): SessionCommons {
  return {
    self: credentials.identity,
    instance: randomBytes(16).toString('hex'),
    times: config.fabric,
    settings: sharedSettings(config.fabric),
    limits: config.limits,
    software: `routy/${version}`,
    pools: createPools(config.limits),
  };
}

function withCertificate(report: ReloadReport, { expiresAt }: CertificateWatch): ReloadReport {
  return { ...report, changes: [...report.changes, `certificate renewed, until ${expiresAt}`] };
}

/** The process may end when this is done: what the peers are told last must have left it. */
function flushed(lanes: readonly Lane[]): Promise<void> {
  return within(FLUSH_MS, () => lanes.every((lane) => lane.queuedBytes === 0));
}

/** Waits until the condition holds, at most so long. */
async function within(timeoutMs: number, condition: () => boolean): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (!condition() && performance.now() < untilMs) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
