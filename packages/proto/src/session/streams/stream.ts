import type { StreamCode } from '../../wire/codes.ts';
import type { FrameType } from '../../wire/layout.ts';
import { frameName, FrameType as Type } from '../../wire/layout.ts';
import type { Agreement, OpenPayload } from '../../wire/payload.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import type { BytesInFlight } from '../flow/bytes-in-flight.ts';
import type { Reassembly } from '../flow/reassembly.ts';
import type { ReceiveWindow } from '../flow/receive-window.ts';
import { SendBuffer } from '../flow/send-buffer.ts';
import type { LaneState } from '../lanes/lane-state.ts';

/**
 * `opening`: this side sent OPEN and waits; `incoming`: the peer sent OPEN and waits;
 * `open`: accepted. A closed stream is not in the table any more.
 */
export type StreamPhase = 'opening' | 'incoming' | 'open';

/** Which frames of the peer a stream takes in which phase. What is not here is refused. */
const TRANSITIONS: Readonly<Record<StreamPhase, ReadonlySet<FrameType>>> = {
  opening: new Set([Type.ACCEPT, Type.RESET]),
  incoming: new Set([Type.DATA, Type.FIN, Type.RESET]),
  // ACCEPT may be said again after a lane was lost.
  open: new Set([Type.ACCEPT, Type.DATA, Type.FIN, Type.RESET, Type.CREDIT]),
};

/** Why a stream is reset. */
export interface StreamReset {
  readonly code: StreamCode;
  readonly reason: string;
}

/** A lane of a session, which carries streams. */
export type StreamLane = LaneState<Stream>;

export const NOWHERE: readonly StreamLane[] = [];

/** One stream of a session: both directions' offsets and what is still to be told to the peer. */
export class Stream {
  readonly id: number;
  phase: StreamPhase;
  readonly send = new SendBuffer();
  readonly receive: ReceiveWindow;
  /** What came ahead of bytes that are still under way on another lane. */
  reassembly: Reassembly | undefined;
  /** What OPEN asks for, until it is accepted. */
  request: OpenPayload | undefined;
  /** What ACCEPT has picked of that. */
  agreement: Agreement | undefined;
  /** Offset up to which the peer lets this side send. */
  creditLimit: number;
  /** The local end wrote its last byte. */
  sendEnded = false;
  /** FIN was sent, on whatever lane. */
  finSent = false;
  /** FIN need not be sent: it was, and no lane that carried it was lost. */
  finCarried = false;
  finAcked = false;
  /**
   * Its connection was reset here: nobody is left to tell anything, and what it had brought before
   * is kept until the peer has it.
   */
  resetting: StreamReset | undefined;
  /** The peer's connection was reset, and so is this one once all that came before is here. */
  resetByPeer: StreamReset | undefined;
  /** That was told; what is not delivered yet still may be. */
  resetTold = false;
  /** Size of the peer's direction, known from its FIN or RESET, which may overtake bytes. */
  finalSize: number | undefined;
  finReceived = false;
  /** All bytes up to the peer's FIN have come, and that was told. */
  finReported = false;
  finDelivered = false;
  /** The local writer was told to pause and waits for an event. */
  writerPaused = false;
  /** The queue it waits in for its turn. */
  scheduledOn: object | undefined;
  /** In the list of streams that owe the peer an acknowledgement. */
  ackListed = false;
  /**
   * The peer is known to have it open. Until then everything of it takes one lane: on another it
   * might overtake OPEN or ACCEPT.
   */
  confirmed = false;
  /** Its primary lane. Undefined: stale, nothing is sent until the peer has said what it has. */
  lane: StreamLane | undefined;
  /** Other lanes that have carried frames of it. */
  spread: readonly StreamLane[] = NOWHERE;
  /** While bytes of it are on several lanes. */
  flight: BytesInFlight<StreamLane> | undefined;
  /** The last RESUME that spoke of it, and the last that said that its OPEN was seen. */
  resumeMark = 0;
  seenMark = 0;

  constructor(id: number, phase: StreamPhase, receive: ReceiveWindow, creditLimit: number) {
    this.id = id;
    this.phase = phase;
    this.receive = receive;
    this.creditLimit = creditLimit;
  }

  /** Payload bytes that may be sent now. */
  get sendableBytes(): number {
    return Math.min(this.send.unsentBytes, this.creditLimit - this.send.sent);
  }

  /** True when FIN is the next thing to send. */
  get finDue(): boolean {
    if (!this.sendEnded || this.finCarried || this.send.unsentBytes > 0) return false;
    return this.resetByPeer === undefined;
  }

  get hasToSend(): boolean {
    return this.sendableBytes > 0 || this.finDue;
  }

  /** Both directions ended, and both sides know. */
  get settled(): boolean {
    return this.finAcked && this.finDelivered;
  }

  /** The peer has all there was to say of this side's direction. */
  get drained(): boolean {
    return this.send.heldBytes === 0 && (!this.sendEnded || this.finAcked);
  }

  /** The owner has done with it, or was told that it is over: it hears no more of it. */
  get ownerless(): boolean {
    return this.resetting !== undefined || this.resetTold;
  }

  /** Bytes that arrived and are not delivered yet. */
  get undeliveredBytes(): number {
    return this.receive.received - this.receive.delivered + this.reassemblyBytes;
  }

  /** Bytes that arrived ahead of others. */
  get reassemblyBytes(): number {
    return this.reassembly?.heldBytes ?? 0;
  }

  /** Throws unless the peer may send this frame now. */
  expect(type: FrameType): void {
    if (!TRANSITIONS[this.phase].has(type)) {
      throw new ProtocolError(
        'stream-state',
        `${frameName(type)} on stream ${this.id}, which is ${this.phase}`,
      );
    }
  }
}
