import type { Identity } from '../base/identity.ts';
import type { BudgetParent } from './flow/budget.ts';

/** The peer's shares of the process's two budgets, parents of every session's own. */
export interface BudgetPools {
  /** Bytes held for sending and replay. */
  readonly send: BudgetParent;
  /** Bytes peers may still send or that are not delivered yet. */
  readonly receive: BudgetParent;
}

/** Who this node is and what it expects of the peer: enough to judge a HELLO. */
export interface HandshakeOptions {
  /** This node. */
  readonly self: Identity;
  /** The peer, from its certificate. HELLO must say the same. */
  readonly peer: Identity;
  /** For people: `routy/0.1.0`. */
  readonly software: string;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  /** Shared settings as people write them. */
  readonly settings: Readonly<Record<string, string>>;
  /** Optional parts of the protocol, of its owner's making, that this side can use; at most 64. */
  readonly capabilities?: readonly string[];
  /** Both HELLOs must have been exchanged by then. */
  readonly handshakeTimeoutMs: number;
}

/** All that a session is given at its start. */
export interface SessionOptions extends HandshakeOptions {
  readonly role: 'dialler' | 'acceptor';
  /** 32 hex digits: random for a dialler, an acceptor takes the dialler's. */
  readonly sessionId: string;
  /** Acceptor: 64 hex digits, random, which further lanes prove to know. A dialler is told. */
  readonly secret: string;
  /** Dialler: a session with the same peer that was given up, for the peer to forget. */
  readonly replaces?: string;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  /** How long a dialler keeps a session without a lane; 0: it ends with its last lane. */
  readonly resumeTimeMs: number;
  /** Most bytes of window one stream is granted. */
  readonly streamWindow: number;
  /** Most bytes this session holds, half for each direction. */
  readonly sessionBuffer: number;
  /** Most streams open at once. */
  readonly streams: number;
  readonly pools: BudgetPools;
  /**
   * Called when a write, of this session or another, has used the budget up: every writer of this
   * session must pause at once, until its `writable` event.
   */
  readonly pauseWriters?: () => void;
}
