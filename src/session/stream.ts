import type { FrameType } from '../wire/layout.ts';
import { FrameType as Type, frameName } from '../wire/layout.ts';
import { ProtocolError } from '../wire/protocol-error.ts';
import type { ReceiveWindow } from './receive-window.ts';
import { SendBuffer } from './send-buffer.ts';

/**
 * `opening`: this side sent OPEN and waits; `incoming`: the peer sent OPEN and waits;
 * `open`: accepted. A closed stream is not in the table any more.
 */
export type StreamPhase = 'opening' | 'incoming' | 'open';

/** Which frames of the peer a stream takes in which phase. What is not here is refused. */
const TRANSITIONS: Readonly<Record<StreamPhase, ReadonlySet<FrameType>>> = {
  opening: new Set([Type.ACCEPT, Type.RESET]),
  incoming: new Set([Type.DATA, Type.FIN, Type.RESET]),
  open: new Set([Type.DATA, Type.FIN, Type.RESET, Type.CREDIT]),
};

/** One stream of a session: both directions' offsets and what is still to be told to the peer. */
export class Stream {
  readonly id: number;
  phase: StreamPhase;
  readonly send = new SendBuffer();
  readonly receive: ReceiveWindow;
  /** Offset up to which the peer lets this side send. */
  creditLimit: number;
  /** The local end wrote its last byte. */
  sendEnded = false;
  finSent = false;
  finAcked = false;
  /** Size of the peer's direction, known from its FIN. */
  finalSize: number | undefined;
  finDelivered = false;
  /** The local writer was told to pause and waits for an event. */
  writerPaused = false;
  /** In the scheduler's queue. */
  scheduled = false;
  /** In the list of streams that owe the peer an acknowledgement. */
  ackListed = false;

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
    return this.sendEnded && !this.finSent && this.send.unsentBytes === 0;
  }

  get hasToSend(): boolean {
    return this.sendableBytes > 0 || this.finDue;
  }

  /** Both directions ended, and both sides know. */
  get settled(): boolean {
    return this.finAcked && this.finDelivered;
  }

  /** Bytes that arrived and are not delivered yet. */
  get undeliveredBytes(): number {
    return this.receive.received - this.receive.delivered;
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
