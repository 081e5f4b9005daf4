import type { IncomingStream, StreamCode } from '@routy/link/driver';
import type { StreamSocket } from '@routy/link/streams';
import { formatAddress, type Identity, nodeName } from '@routy/proto/base';
import { negotiate, notSpoken } from '@routy/proto/session';
import type { ServiceConfig } from '../config/types.ts';
import { mayOpen } from '../fabric/policy.ts';
import { TCP } from '../fabric/tcp.ts';
import { type ServiceRefusal, Tally } from '../status/results.ts';
import type { ServiceStatus } from '../status/status.ts';
import { proxyHeader } from './proxy-protocol.ts';
import { type NameLookup, TargetConnection, type TargetSockets } from './target-connection.ts';

/** What services ask of the node around them. */
export interface ServiceHost {
  nowMs(): number;
  /** A stream reached its target. */
  onOpened(service: string, peer: string): void;
  /** A stream was turned away; its service need not exist. */
  onRefused(refusal: ServiceRefusal): void;
  /** Looks up the host names of targets; the system's when left out. */
  readonly names?: NameLookup | undefined;
  /** Connects to targets; sockets of Node when left out. */
  readonly sockets?: TargetSockets | undefined;
}

/** A stream from a peer, from its open on: first the target is dialled, then bytes flow. */
interface ServiceStream {
  readonly peer: Identity;
  readonly stream: IncomingStream;
  /** On its way to the target, or the connection to it. */
  target: TargetConnection | StreamSocket;
}

/** One service this node offers, and the streams that peers opened to it. */
export class Service {
  readonly tally = new Tally();
  readonly streams = new Set<ServiceStream>();
  config: ServiceConfig;

  constructor(config: ServiceConfig) {
    this.config = config;
  }

  admits(peer: Identity): boolean {
    return mayOpen(this.config.allow, peer);
  }

  /** Resets the streams of peers that may not open this service any more; all, when `everyone`. */
  resetStreams(whose: 'everyone' | 'no-longer-allowed'): number {
    let count = 0;
    for (const { peer, target } of this.streams) {
      if (whose === 'no-longer-allowed' && this.admits(peer)) continue;
      if (target instanceof TargetConnection) target.stop();
      else target.reset();
      count += 1;
    }
    return count;
  }

  status(): ServiceStatus {
    const { config, tally } = this;
    return {
      name: config.name,
      target: formatAddress(config.target),
      allow: config.allow,
      streams: this.streams.size,
      opened: tally.opened,
      refused: tally.refused,
      last: tally.last,
    };
  }
}

/** All services of this node: judges every incoming stream and joins it to its target. */
export class Services {
  readonly #byName = new Map<string, Service>();
  /** By entry of `allow`, a site or a node: the services that have it. Holds no empty sets. */
  readonly #byEntry = new Map<string, Set<Service>>();
  /** By `site/node`: streams that were accepted and have not ended, of whatever service. */
  readonly #accepted = new Map<string, Set<ServiceStream>>();
  readonly #host: ServiceHost;
  #draining = false;

  constructor(configs: Iterable<ServiceConfig>, host: ServiceHost) {
    this.#host = host;
    for (const config of configs) this.put(config);
  }

  /** Adds the service or changes it; its streams go on. */
  put(config: ServiceConfig): void {
    const known = this.#byName.get(config.name);
    const service = known ?? new Service(config);
    if (known === undefined) this.#byName.set(config.name, service);
    else this.#unlink(known);
    service.config = config;
    for (const entry of config.allow) put(this.#byEntry, entry, service);
  }

  /** Removes the service, resets its streams and says how many there were. */
  remove(name: string): number {
    const service = this.#byName.get(name);
    if (service === undefined) return 0;
    this.#byName.delete(name);
    this.#unlink(service);
    return service.resetStreams('everyone');
  }

  get(name: string): Service | undefined {
    return this.#byName.get(name);
  }

  all(): Service[] {
    return [...this.#byName.values()];
  }

  /** Names of the services the peer may open, sorted. */
  offersFor(peer: Identity): string[] {
    const candidates = new Set([
      ...(this.#byEntry.get(peer.site) ?? []),
      ...(this.#byEntry.get(nodeName(peer)) ?? []),
    ]);
    return [...candidates]
      .filter((service) => service.admits(peer))
      .map((service) => service.config.name)
      .sort();
  }

  /** Resets every connection to a target. */
  resetAll(): void {
    for (const service of this.#byName.values()) service.resetStreams('everyone');
  }

  /** From now on every new stream is refused with `draining`. */
  drain(): void {
    this.#draining = true;
  }

  undrain(): void {
    this.#draining = false;
  }

  /** A peer wants a stream. The list of who may is looked at every time: it changes by reload. */
  onStream(stream: IncomingStream, peer: Identity): void {
    const { protocol, service: name } = stream.request;
    const service = this.#byName.get(name);
    if (protocol !== TCP.protocol) {
      this.#refuse(stream, peer, 'unsupported-protocol', `there is no protocol ${protocol}`);
      return;
    }
    if (negotiate(stream.request, TCP) === undefined) {
      const reason = notSpoken(protocol, stream.request, TCP);
      this.#refuse(stream, peer, 'unsupported-version', reason);
      return;
    }
    const no = this.#whyNot(name, peer);
    if (no !== undefined) this.#refuse(stream, peer, no.code, no.reason);
    else if (this.#draining) this.#refuse(stream, peer, 'draining', 'this node drains');
    else this.#connect(stream, service!, peer);
  }

  /**
   * The peer was away and is back: what it may open is judged again for every stream it has, since
   * a change while it was away is told to it as a refusal. Says how many streams that reset.
   */
  recheck(peer: Identity): number {
    let count = 0;
    for (const entry of this.#accepted.get(nodeName(peer)) ?? []) {
      const no = this.#whyNot(entry.stream.request.service, entry.peer);
      if (no === undefined) continue;
      this.#noteRefusal(entry.stream, peer, no.code, no.reason);
      entry.stream.reset(no.code, no.reason);
      count += 1;
    }
    return count;
  }

  #unlink(service: Service): void {
    for (const entry of service.config.allow) take(this.#byEntry, entry, service);
  }

  #whyNot(name: string, peer: Identity): { code: StreamCode; reason: string } | undefined {
    const service = this.#byName.get(name);
    if (service === undefined) {
      return { code: 'unknown-service', reason: `no service ${name} here` };
    }
    if (service.admits(peer)) return undefined;
    const reason = `${nodeName(peer)} is not in allow of service ${name}`;
    return { code: 'not-allowed', reason };
  }

  #connect(stream: IncomingStream, service: Service, peer: Identity): void {
    const { config } = service;
    const target = new TargetConnection(
      config,
      {
        onFailed: (code, reason) => {
          stream.onCancel = undefined;
          service.streams.delete(entry);
          this.#refuse(stream, peer, code, reason);
        },
        onConnected: (socket) => {
          stream.onCancel = undefined;
          entry.target = socket;
          this.#join(entry, service, socket);
        },
      },
      this.#host,
    );
    const entry: ServiceStream = { peer, stream, target };
    service.streams.add(entry);
    stream.onCancel = () => {
      service.streams.delete(entry);
      target.cancel();
    };
  }

  #join(entry: ServiceStream, service: Service, socket: StreamSocket): void {
    const { name, proxyProtocol, keepaliveMs } = service.config;
    const { stream } = entry;
    const peer = nodeName(entry.peer);
    socket.keepAlive(keepaliveMs);
    if (proxyProtocol !== undefined) socket.write(header(proxyProtocol, stream));
    service.tally.connected(this.#host.nowMs(), peer);
    this.#host.onOpened(name, peer);
    put(this.#accepted, peer, entry);
    const onEnd = (): void => {
      service.streams.delete(entry);
      take(this.#accepted, peer, entry);
    };
    stream.accept(socket.endpoint('target', onEnd));
  }

  #refuse(stream: IncomingStream, peer: Identity, code: StreamCode, reason: string): void {
    this.#noteRefusal(stream, peer, code, reason);
    stream.refuse(code, reason);
  }

  #noteRefusal(stream: IncomingStream, peer: Identity, code: StreamCode, reason: string): void {
    const { service } = stream.request;
    const name = nodeName(peer);
    const ours = this.#byName.get(service);
    ours?.tally.turnedAway(this.#host.nowMs(), code, reason, name);
    this.#host.onRefused({ service, isOurs: ours !== undefined, peer: name, code, reason });
  }
}

function put<T>(index: Map<string, Set<T>>, key: string, item: T): void {
  const there = index.get(key);
  if (there === undefined) index.set(key, new Set([item]));
  else there.add(item);
}

function take<T>(index: Map<string, Set<T>>, key: string, item: T): void {
  const there = index.get(key);
  there?.delete(item);
  if (there?.size === 0) index.delete(key);
}

function header(version: 'v1' | 'v2', { request }: IncomingStream): Uint8Array {
  return proxyHeader(version, request.source, request.destination);
}
