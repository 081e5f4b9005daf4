import type { Address, TcpAddress } from '@routy/proto/base';

/** A validated `routy.toml`: defaults filled in, durations in milliseconds, sizes in bytes. */
export interface Config {
  readonly node: {
    readonly name: string;
    readonly site: string;
    /** Absolute directory: keys, certificates, admin socket. */
    readonly state: string;
    /** How long a stopping node lets its streams finish, in ms. */
    readonly drainMs: number;
    /** What carries the bytes of lanes. */
    readonly dataPlane: 'auto' | 'portable' | 'native';
  };
  readonly listen:
    | {
        readonly address: TcpAddress;
        /** Where newcomers dial this node, when that is not where it listens. */
        readonly advertise?: readonly TcpAddress[] | undefined;
      }
    | undefined;
  readonly peers: readonly PeerConfig[];
  /** By service name. */
  readonly services: ReadonlyMap<string, ServiceConfig>;
  readonly forwards: readonly ForwardConfig[];
  readonly fabric: FabricSettings;
  readonly limits: LimitsConfig;
  readonly admin: { readonly metricsListen: TcpAddress | undefined };
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'pretty' | 'auto' };
}

export interface PeerConfig {
  /** Tried in order by each lane that is dialled: `address = "h:p"` or `addresses = [...]`. */
  readonly addresses: readonly TcpAddress[];
  /** `http://[user:pass@]host:port` or `socks5://[user:pass@]host:port`. */
  readonly via: string | undefined;
  /** Lanes kept up at the same time, 1 to 16. */
  readonly lanes: number;
}

export interface ServiceConfig {
  readonly name: string;
  readonly target: Address;
  /** Sites (`gray`) or nodes (`gray/gray1`) that may open it; empty means nobody. */
  readonly allow: readonly string[];
  readonly proxyProtocol: 'v1' | 'v2' | undefined;
  /** Address that connections to the target come from; the system's choice when undefined. */
  readonly source: string | undefined;
  readonly connectTimeoutMs: number;
  /** Silence after which the target is asked whether it is still there; 0 for never. */
  readonly keepaliveMs: number;
}

export interface ForwardConfig {
  readonly listen: Address;
  readonly to: { readonly site: string; readonly service: string };
  readonly unavailable:
    | { readonly kind: 'refuse' }
    | { readonly kind: 'hold'; readonly ms: number };
  /** How long the other node may leave a connection unanswered while a lane is up. */
  readonly connectTimeoutMs: number;
  /** Silence after which a client is asked whether it is still there; 0 for never. */
  readonly keepaliveMs: number;
  /** Addresses and networks of clients that may connect; undefined for everybody. */
  readonly clients: readonly string[] | undefined;
  /** Of a unix socket; what is undefined is left to the system, the mode to a default. */
  readonly socket: SocketAccess;
}

export interface SocketAccess {
  /** Name or number, as `group`. */
  readonly owner: string | undefined;
  readonly group: string | undefined;
  readonly mode: number | undefined;
}

/** Settings that must be equal on every node; compared at every handshake. */
export interface FabricSettings {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  /** Counted from the last byte heard; 0 ends a session with its last lane. */
  readonly resumeTimeMs: number;
}

export interface LimitsConfig {
  /** Most bytes of window one stream may be granted. */
  readonly streamWindow: number;
  /** Most bytes buffered by one session, both ways together. */
  readonly sessionBuffer: number;
  /** Most bytes buffered by the process. */
  readonly processBuffer: number;
  /** Most streams open at once in one session. */
  readonly streams: number;
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';
