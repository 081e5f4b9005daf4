import { FrameDecoder, type FrameHeader } from '../../src/wire/decode.ts';
import { FLAG_FIN_DELIVERED, FrameType, frameName } from '../../src/wire/layout.ts';
import { parseHello, parseNumber } from '../../src/wire/payload.ts';
import { must } from './failure.ts';

/** What the wire has shown of one stream, as one end of it sees it. */
interface Seen {
  /** Bytes this end sent. */
  sent: number;
  /** How far the peer lets this end send, as far as this end has heard. */
  credit: number;
  finSent: boolean;
  resetSent: boolean;
  /** How far this end lets the peer send. */
  granted: number;
  /** Bytes this end told the peer it had delivered. */
  acknowledged: number;
  finAcknowledged: boolean;
  /** Bytes of the peer that arrived. */
  received: number;
  delivered: number;
  /** Counts for the exposure: not while this end has not decided on a stream the peer opens. */
  counted: boolean;
}

/**
 * Reads the frames one end of a lane sends and gets, and holds that end to the protocol without
 * looking into the session: contiguous offsets, bytes in flight within credit, nothing after FIN,
 * RESET and CLOSE, and no more credit granted than there is budget.
 */
export class Monitor {
  readonly #name: string;
  readonly #streams = new Map<number, Seen>();
  /** Streams that are over for this end; frames of theirs may still be under way. */
  readonly #over = new Set<number>();
  readonly #outgoing: FrameDecoder;
  readonly #incoming: FrameDecoder;
  /** Largest initial window each way: what a stream may carry before its first CREDIT. */
  #windowFromPeer = 0;
  #windowToPeer = 0;
  #framesSent = 0;
  #closeSent = false;
  /** Bytes the peer may still send plus bytes that are not delivered, over all streams. */
  #exposure = 0;

  constructor(name: string) {
    this.#name = name;
    this.#outgoing = new FrameDecoder({
      onFrame: (header, payload) => this.#sent(header, payload),
      onData: (stream, offset, bytes) => this.#dataSent(stream, offset, bytes.length),
    });
    this.#incoming = new FrameDecoder({
      onFrame: (header, payload) => this.#got(header, payload),
      onData: (stream, offset, bytes) => this.#dataGot(stream, offset, bytes.length),
    });
  }

  /** Bytes of memory the peer was promised or holds: never more than the receive budget. */
  get exposure(): number {
    return this.#exposure;
  }

  sent(buffers: readonly Uint8Array[]): void {
    for (const buffer of buffers) this.#outgoing.push(buffer);
  }

  got(bytes: Uint8Array): void {
    this.#incoming.push(bytes);
  }

  /** The session told of a stream the peer opens. */
  opened(stream: number): void {
    const seen = this.#streams.get(stream);
    if (seen === undefined) return;
    seen.counted = true;
    this.#exposure += seen.granted - seen.delivered;
  }

  delivered(stream: number, bytes: number): void {
    const seen = this.#streams.get(stream);
    if (seen === undefined) return;
    seen.delivered += bytes;
    must(seen.delivered <= seen.received, () => this.#about(stream, 'delivered more than it got'));
    this.#exposure -= bytes;
  }

  /** The stream is over for this end. */
  over(stream: number): void {
    this.#over.add(stream);
    const seen = this.#streams.get(stream);
    if (seen?.counted) this.#exposure -= seen.granted - seen.delivered;
    this.#streams.delete(stream);
  }

  #sent(header: FrameHeader, payload: Uint8Array): void {
    const name = frameName(header.type);
    must(!this.#closeSent, () => `${this.#name}: ${name} after CLOSE`);
    const first = this.#framesSent++ === 0;
    const opening = header.type === FrameType.HELLO || header.type === FrameType.CLOSE;
    must(!first || opening, () => `${this.#name}: ${name} is the first frame`);
    must(header.type !== FrameType.HELLO || first, () => `${this.#name}: HELLO twice`);
    if (header.type === FrameType.CLOSE) this.#closeSent = true;
    if (header.type === FrameType.HELLO) this.#windowToPeer = parseHello(payload).initialWindow;
    if (header.stream !== 0) this.#streamFrameSent(header, payload);
  }

  #streamFrameSent(header: FrameHeader, payload: Uint8Array): void {
    const { stream } = header;
    if (header.type === FrameType.OPEN) {
      this.#add(stream, this.#windowFromPeer, header.offset, true);
    }
    const seen = this.#streams.get(stream);
    if (seen === undefined) return;
    must(!seen.resetSent, () => this.#about(stream, `${frameName(header.type)} after RESET`));
    switch (header.type) {
      case FrameType.ACCEPT:
        this.#grant(stream, seen, header.offset);
        break;
      case FrameType.FIN:
        must(!seen.finSent, () => this.#about(stream, 'FIN twice'));
        must(header.offset === seen.sent, () => this.#about(stream, `FIN at ${header.offset}`));
        seen.finSent = true;
        break;
      case FrameType.RESET:
        must(header.offset === seen.sent, () => this.#about(stream, `RESET at ${header.offset}`));
        seen.resetSent = true;
        break;
      case FrameType.CREDIT:
        this.#grant(stream, seen, header.offset);
        this.#acknowledge(stream, seen, header, parseNumber(payload, 0));
    }
  }

  #acknowledge(stream: number, seen: Seen, header: FrameHeader, delivered: number): void {
    const fin = (header.flags & FLAG_FIN_DELIVERED) !== 0;
    must(delivered >= seen.acknowledged && delivered <= seen.received, () =>
      this.#about(stream, `acknowledged ${delivered} after ${seen.acknowledged}`),
    );
    must(!seen.finAcknowledged || fin, () => this.#about(stream, 'FIN acknowledged, then not'));
    seen.acknowledged = delivered;
    seen.finAcknowledged = fin;
  }

  #dataSent(stream: number, offset: number, length: number): void {
    must(!this.#closeSent, () => `${this.#name}: DATA after CLOSE`);
    const seen = this.#streams.get(stream);
    if (seen === undefined) return;
    must(!seen.finSent && !seen.resetSent, () => this.#about(stream, 'DATA after FIN or RESET'));
    must(offset === seen.sent, () => this.#about(stream, `DATA at ${offset} after ${seen.sent}`));
    seen.sent += length;
    must(seen.sent <= seen.credit, () =>
      this.#about(stream, `sent up to ${seen.sent}, credit ends at ${seen.credit}`),
    );
  }

  #got(header: FrameHeader, payload: Uint8Array): void {
    if (header.type === FrameType.HELLO) this.#windowFromPeer = parseHello(payload).initialWindow;
    if (header.type === FrameType.OPEN) {
      this.#add(header.stream, header.offset, this.#windowToPeer, false);
    }
    const seen = this.#streams.get(header.stream);
    if (seen === undefined) return;
    if (header.type === FrameType.ACCEPT || header.type === FrameType.CREDIT) {
      must(header.offset >= seen.credit, () => this.#about(header.stream, 'credit shrank'));
      seen.credit = header.offset;
    }
  }

  #dataGot(stream: number, offset: number, length: number): void {
    const seen = this.#streams.get(stream);
    if (seen !== undefined) seen.received = offset + length;
  }

  #add(stream: number, credit: number, granted: number, counted: boolean): void {
    if (this.#over.has(stream)) return;
    const fresh = { sent: 0, received: 0, delivered: 0, acknowledged: 0 };
    const flags = { finSent: false, resetSent: false, finAcknowledged: false };
    this.#streams.set(stream, { ...fresh, ...flags, credit, granted, counted });
    if (counted) this.#exposure += granted;
  }

  #grant(stream: number, seen: Seen, limit: number): void {
    must(limit >= seen.granted, () => this.#about(stream, 'took credit back'));
    this.#exposure += limit - seen.granted;
    seen.granted = limit;
  }

  #about(stream: number, problem: string): string {
    return `${this.#name}: stream ${stream}: ${problem}`;
  }
}
