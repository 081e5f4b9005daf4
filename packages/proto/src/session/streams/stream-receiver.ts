import type { FrameHeader } from '../../wire/frame-decoder.ts';
import { FLAG_FIN_DELIVERED, FrameType } from '../../wire/layout.ts';
import { type Agreement, parseNumber, parseOpen, parseReset } from '../../wire/payload.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import { Reassembly } from '../flow/reassembly.ts';
import { agreementFault, PLAIN, readAccept, sameAgreement } from '../negotiation.ts';
import type { Stream, StreamLane, StreamReset } from './stream.ts';
import type { StreamSender } from './stream-sender.ts';
import type { StreamTable } from './stream-table.ts';

/**
 * Offered what came for a stream before anything else is done with it, and how many of these bytes, from the
 * first on, it has copied to where they go: none or all, mostly. From within the session, which it does not call.
 */
export type Absorb = (stream: number, bytes: Uint8Array) => number;

/**
 * The peer's frames of streams. Those of one lane come in order, but a frame may come again, or be
 * overtaken by frames of another lane: each says something that stays true.
 */
export class StreamReceiver {
  readonly #store: StreamTable;
  readonly #sender: StreamSender;
  /** Whoever brings bytes has only lent them: what is not absorbed is copied. Undefined: they are ours. */
  absorb: Absorb | undefined;

  constructor(store: StreamTable, sender: StreamSender) {
    this.#store = store;
    this.#sender = sender;
  }

  data(nowMs: number, id: number, offset: number, bytes: Uint8Array): void {
    const stream = this.#expect(id, FrameType.DATA);
    if (stream === undefined) return;
    const { receive } = stream;
    receive.answered(nowMs);
    const end = offset + bytes.length;
    receive.expect(end);
    if (stream.finalSize !== undefined && end > stream.finalSize) {
      throw new ProtocolError('final-size', `DATA up to ${end} on stream ${id}, beyond its end`);
    }
    // There is nothing left to write it to.
    if (stream.resetting !== undefined) return;
    if (offset > receive.received) {
      this.#hold(stream, offset, bytes);
    } else if (offset === receive.received) {
      this.#arrived(stream, bytes);
    } else if (end > receive.received) {
      this.#arrived(stream, bytes.subarray(receive.received - offset));
    }
  }

  frame(nowMs: number, lane: StreamLane, header: FrameHeader, payload: Uint8Array): void {
    this.#store.unconfirmed.heard(header.stream);
    switch (header.type) {
      case FrameType.OPEN:
        this.#open(nowMs, lane, header, payload);
        break;
      case FrameType.ACCEPT:
        this.#accept(nowMs, header, payload);
        break;
      case FrameType.FIN:
        this.#fin(header);
        break;
      case FrameType.RESET:
        this.#reset(lane, header, payload);
        break;
      default:
        this.#credit(nowMs, header, payload);
    }
  }

  /** The peer lets this side send up to `limit`, if that is news. */
  raiseCredit(nowMs: number, stream: Stream, limit: number): void {
    if (limit > stream.creditLimit) stream.creditLimit = limit;
    this.#sender.schedule(stream);
    if (stream.resetting === undefined && stream.resetByPeer === undefined) {
      this.#store.paused.credited(nowMs, stream);
    }
  }

  #hold(stream: Stream, offset: number, bytes: Uint8Array): void {
    stream.reassembly ??= new Reassembly();
    stream.receive.ahead();
    const held = stream.reassembly.insert(offset, this.#own(bytes));
    this.#store.reassemblyBytes += held;
    this.#store.undeliveredBytes += held;
    this.#store.totals.bytesReceived += held;
  }

  #arrived(stream: Stream, bytes: Uint8Array): void {
    this.#store.undeliveredBytes += bytes.length;
    this.#store.totals.bytesReceived += bytes.length;
    this.#pass(stream, bytes);
    if (stream.reassembly !== undefined) this.#passHeld(stream, stream.reassembly);
    this.#tellEnd(stream);
  }

  #passHeld(stream: Stream, reassembly: Reassembly): void {
    const before = reassembly.heldBytes;
    const from = stream.receive.received;
    for (;;) {
      const bytes = reassembly.take(stream.receive.received);
      if (bytes === undefined) break;
      this.#pass(stream, bytes);
    }
    const released = before - reassembly.heldBytes;
    const overlapped = released - (stream.receive.received - from);
    this.#store.reassemblyBytes -= released;
    // What came twice was counted twice.
    this.#store.undeliveredBytes -= overlapped;
    this.#store.totals.bytesReceived -= overlapped;
    if (reassembly.empty) stream.reassembly = undefined;
    if (stream.receive.received > (stream.finalSize ?? Infinity)) {
      throw new ProtocolError('final-size', `DATA on stream ${stream.id} beyond its end`);
    }
  }

  #pass(stream: Stream, bytes: Uint8Array): void {
    stream.receive.receive(bytes.length);
    const { events } = this.#store;
    // Not before what waits already.
    const absorbed = events.isEmpty ? (this.absorb?.(stream.id, bytes) ?? 0) : 0;
    if (absorbed === bytes.length) return;
    const rest = this.#own(absorbed === 0 ? bytes : bytes.subarray(absorbed));
    events.push({ kind: 'data', stream: stream.id, bytes: rest });
  }

  #own(bytes: Uint8Array): Uint8Array {
    return this.absorb === undefined ? bytes : new Uint8Array(bytes);
  }

  #open(nowMs: number, lane: StreamLane, header: FrameHeader, payload: Uint8Array): void {
    const id = header.stream;
    const request = parseOpen(payload);
    // Said again after a lane was lost, although it had arrived.
    if (!this.#store.seen.add(id)) return;
    if (this.#store.draining) {
      this.#sender.refuse(lane, id, 'draining', 'this node is draining');
      return;
    }
    const stream = this.#store.openRemote(nowMs, id, header.offset, request);
    if (stream === undefined) {
      this.#sender.refuse(lane, id, 'overload', this.#store.refused());
      return;
    }
    this.#store.lanes.settle(stream, lane);
    this.#store.events.push({ kind: 'opened', stream: id, request });
  }

  #accept(nowMs: number, header: FrameHeader, payload: Uint8Array): void {
    const stream = this.#expect(header.stream, FrameType.ACCEPT);
    if (stream === undefined) return;
    const picked = readAccept(payload);
    if (!this.#store.isLocal(stream.id)) {
      throw new ProtocolError('stream-state', `ACCEPT on stream ${stream.id} by its opener`);
    }
    expectPicked(stream, picked);
    stream.confirmed = true;
    if (stream.phase === 'opening') this.#accepted(stream, picked);
    this.raiseCredit(nowMs, stream, header.offset);
  }

  #accepted(stream: Stream, picked: Agreement): void {
    stream.phase = 'open';
    stream.request = undefined;
    stream.agreement = sameAgreement(picked, PLAIN) ? PLAIN : picked;
    if (stream.ownerless) return;
    this.#store.events.push({ kind: 'accepted', stream: stream.id, picked: stream.agreement });
  }

  #fin(header: FrameHeader): void {
    const stream = this.#expect(header.stream, FrameType.FIN);
    if (stream === undefined) return;
    const size = header.offset;
    const { received, limit } = stream.receive;
    if (size !== (stream.finalSize ?? size) || size < received || size > limit) {
      throw new ProtocolError(
        'final-size',
        `FIN at ${size} on stream ${stream.id}, received ${received}, credit ends at ${limit}`,
      );
    }
    stream.finalSize = size;
    stream.finReceived = true;
    this.#tellEnd(stream);
  }

  /** Tells of the peer's FIN or reset once all bytes before it have come. */
  #tellEnd(stream: Stream): void {
    if (stream.finalSize !== stream.receive.received || stream.ownerless) return;
    if (stream.finReceived && !stream.finReported) {
      stream.finReported = true;
      this.#store.events.push({ kind: 'fin', stream: stream.id });
    }
    if (stream.resetByPeer === undefined) return;
    stream.resetTold = true;
    this.#store.events.push({ kind: 'reset', stream: stream.id, ...stream.resetByPeer });
    this.#sender.answerReset(stream);
  }

  #reset(lane: StreamLane, header: FrameHeader, payload: Uint8Array): void {
    const { code, reason } = parseReset(payload);
    const waits = code === 'connection-reset';
    // Alone of all frames it may overtake OPEN, whose lane was lost.
    if (!this.#store.isLocal(header.stream) && this.#store.seen.add(header.stream)) {
      if (waits)
        this.#sender.refuse(lane, header.stream, 'cancelled', 'reset before it was opened');
      return;
    }
    const stream = this.#expect(header.stream, FrameType.RESET);
    if (stream === undefined) return;
    expectResetSize(stream, header.offset, waits);
    if (!waits) this.#store.end(stream, code, reason);
    else if (stream.resetting !== undefined) {
      this.#sender.reset(stream, 'cancelled', 'reset at both ends');
    } else if (stream.resetByPeer === undefined) {
      this.#resetAfterData(stream, header.offset, { code, reason });
    }
  }

  /** The peer keeps the stream until it is reset from here: when all bytes before the end are delivered. */
  #resetAfterData(stream: Stream, size: number, reset: StreamReset): void {
    stream.finalSize = size;
    stream.resetByPeer = reset;
    this.#store.stopSending(stream);
    if (stream.phase === 'incoming') {
      // Whoever has gone before it was served is not served.
      this.#store.events.push({ kind: 'reset', stream: stream.id, ...reset });
      this.#sender.reset(stream, 'cancelled', 'reset before it was accepted');
    } else {
      this.#tellEnd(stream);
    }
  }

  #credit(nowMs: number, header: FrameHeader, payload: Uint8Array): void {
    const stream = this.#expect(header.stream, FrameType.CREDIT);
    if (stream === undefined) return;
    const { send } = stream;
    const delivered = parseNumber(payload, 0);
    if (delivered > send.everSent) {
      throw new ProtocolError(
        'credit-exceeded',
        `delivered ${delivered} on stream ${stream.id}, sent ${send.everSent}`,
      );
    }
    stream.confirmed = true;
    if (delivered > send.acked) this.#acknowledged(nowMs, stream, delivered);
    if ((header.flags & FLAG_FIN_DELIVERED) !== 0) {
      if (!stream.finSent || delivered !== send.written) {
        throw new ProtocolError('final-size', `FIN acknowledged early on stream ${stream.id}`);
      }
      stream.finAcked = true;
    }
    this.raiseCredit(nowMs, stream, header.offset);
    this.#sender.settle(stream);
  }

  #acknowledged(nowMs: number, stream: Stream, delivered: number): void {
    this.#store.acknowledge(stream, delivered);
    stream.lane?.heartbeat.outboundProof(nowMs);
    for (const lane of stream.spread) lane.acknowledged(nowMs, stream, delivered);
  }

  /** The stream a frame is for; undefined when it closed already, which is no fault of the peer. */
  #expect(id: number, type: FrameType): Stream | undefined {
    const stream = this.#store.get(id);
    if (stream !== undefined) {
      stream.expect(type);
      return stream;
    }
    if (!this.#store.knows(id)) {
      throw new ProtocolError('stream-id', `stream ${id} was never opened`);
    }
    return undefined;
  }
}

/** Throws unless that was offered, and is what an ACCEPT before has said. */
function expectPicked({ id, request, agreement }: Stream, picked: Agreement): void {
  const fault = request && agreementFault(request, picked);
  if (fault !== undefined) {
    throw new ProtocolError('frame-payload', `ACCEPT of stream ${id}: ${fault}`);
  }
  if (agreement !== undefined && !sameAgreement(agreement, picked)) {
    throw new ProtocolError('stream-state', `ACCEPT of stream ${id}: not what was picked before`);
  }
}

/** Throws unless the peer's direction may have that size: all of it, or, when it gives up, what it has sent. */
function expectResetSize(
  { id, receive, finalSize, resetByPeer }: Stream,
  size: number,
  whole: boolean,
): void {
  const { received, limit } = receive;
  const exact = whole || resetByPeer === undefined;
  const fits = exact ? size === (finalSize ?? size) : size <= finalSize!;
  if (fits && size >= received && (whole || size <= limit)) return;
  throw new ProtocolError(
    'final-size',
    `RESET at ${size} on stream ${id}, received ${received}, credit ends at ${limit}`,
  );
}
