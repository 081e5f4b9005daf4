import type { Identity } from '../base/identity.ts';
import type { Budget } from './budget.ts';

/** The two budgets of the process, parents of every session's own. */
export interface BudgetPools {
  /** Bytes held for sending and replay. */
  readonly send: Budget;
  /** Bytes peers may still send or that are not delivered yet. */
  readonly receive: Budget;
}

export interface SessionOptions {
  readonly role: 'dialler' | 'acceptor';
  /** This node. */
  readonly self: Identity;
  /** The peer, from its certificate. HELLO must say the same. */
  readonly peer: Identity;
  /** For people: `routy/0.1.0`. */
  readonly software: string;
  /** 32 hex digits, random per process start. */
  readonly instance: string;
  /** Dialler: 32 hex digits, random. An acceptor takes the dialler's. */
  readonly sessionId: string;
  /** Dialler: 1 for a session's first lane, rising by one. An acceptor takes the dialler's. */
  readonly epoch: number;
  /** Shared settings as people write them. */
  readonly settings: Readonly<Record<string, string>>;
  readonly heartbeatIntervalMs: number;
  readonly heartbeatMisses: number;
  /** Both HELLOs must have been exchanged by then. */
  readonly handshakeTimeoutMs: number;
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
