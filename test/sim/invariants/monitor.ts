import { FrameDecoder, type FrameHeader } from '../../../packages/proto/src/wire/frame-decoder.ts';
import { FLAG_RESUME_LAST, FrameType, frameName } from '../../../packages/proto/src/wire/layout.ts';
import {
  type Hello,
  parseHello,
  parseNumber,
  parseReset,
} from '../../../packages/proto/src/wire/payload.ts';
import { readResume } from '../../../packages/proto/src/wire/resume.ts';
import { must } from '../failure.ts';
import { SeenStream } from './seen-stream.ts';

/** What the wire has shown of one lane, as one end of it sees it. */
interface SeenLane {
  readonly outgoing: FrameDecoder;
  readonly incoming: FrameDecoder;
  helloSent: boolean;
  helloGot: boolean;
  closeSent: boolean;
}

const IGNORED = {
  opened: () => {},
  dead: () => {},
  seen: () => {},
  stream: () => {},
  ended: () => {},
};

/**
 * Reads the frames one end of a session sends and gets on all its lanes, and holds that end to the
 * protocol without looking into the session: nothing beyond credit, nothing twice unless a lane was
 * lost, nothing on a stream whose lane was lost before the peer has said what it has, nothing after
 * RESET and CLOSE, and no more credit granted than there is budget.
 */
export class Monitor {
  readonly #name: string;
  readonly #dialler: boolean;
  readonly #lanes = new Map<number, SeenLane>();
  readonly #streams = new Map<number, SeenStream>();
  /** Streams that are over for this end; frames of theirs may still be under way. */
  readonly #over = new Set<number>();
  /** Streams that this end gave up; and those that are over for the peer, as it says. */
  readonly #resetSent = new Set<number>();
  readonly #ended = new Set<number>();
  /** Size of streams that this end has reset after data, until the peer has reset them too. */
  readonly #resetting = new Map<number, number>();
  /** Lanes that the peer says it has lost. */
  readonly #dead = new Set<number>();
  /** Largest initial window each way: what a stream may carry before its first CREDIT. */
  #windowFromPeer = 0;
  #windowToPeer = 0;
  /** Lanes there were, those that are no more, and those of them that carried the session. */
  #lanesAdded = 0;
  #lanesGone = 0;
  #lanesLost = 0;
  #setsSent = 0;
  #recordsSent = 0;
  /** Bytes the peer may still send plus bytes that are not delivered, over all streams. */
  #exposure = 0;

  constructor(name: string, dialler: boolean) {
    this.#name = name;
    this.#dialler = dialler;
  }

  /** Bytes of memory the peer was promised or holds: never more than the receive budget. */
  get exposure(): number {
    return this.#exposure;
  }

  /** Bytes written here that the peer is not known to have delivered, when so many were written. */
  unacknowledged(stream: number, written: number): number {
    return written - (this.#streams.get(stream)?.acked ?? 0);
  }

  /** Records of streams, live or ended, in the sets this end has sent. */
  get recordsSent(): number {
    return this.#recordsSent;
  }

  /** No lane was lost so far. */
  get intact(): boolean {
    return this.#lanesLost === 0 && this.#dead.size === 0;
  }

  /** `hello`: the dialler's, for an acceptor. */
  addLane(lane: number, hello: Hello | undefined): void {
    must(!this.#lanes.has(lane), () => `${this.#name}: lane ${lane} twice`);
    if (hello !== undefined) this.#windowFromPeer = hello.initialWindow;
    const seen: SeenLane = {
      outgoing: new FrameDecoder({
        onFrame: (header, payload) => this.#sent(lane, seen, header, payload),
        onData: (stream, offset, bytes) => this.#dataSent(lane, seen, stream, offset, bytes.length),
      }),
      incoming: new FrameDecoder({
        onFrame: (header, payload) => this.#got(seen, header, payload),
        onData: () => {},
      }),
      helloSent: false,
      helloGot: hello !== undefined,
      closeSent: false,
    };
    this.#lanes.set(lane, seen);
    this.#lanesAdded++;
  }

  /** `lost`: it carried the session. */
  removeLane(lane: number, lost: boolean): void {
    this.#lanes.delete(lane);
    this.#lanesGone++;
    if (lost) this.#lanesLost++;
    // The set of records that says so has synchronised its streams already.
    if (this.#dead.has(lane)) return;
    this.#disturb(lane);
  }

  sent(lane: number, buffers: readonly Uint8Array[]): void {
    const { outgoing } = this.#lanes.get(lane)!;
    for (const buffer of buffers) outgoing.push(buffer);
  }

  got(lane: number, bytes: Uint8Array): void {
    this.#lanes.get(lane)!.incoming.push(bytes);
  }

  /** The session told of a stream the peer opens. */
  opened(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.counted = true;
    this.#exposure += stream.granted - stream.delivered;
  }

  /** The session handed out bytes of the peer. */
  received(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream !== undefined) stream.received += bytes;
  }

  delivered(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.delivered += bytes;
    must(stream.delivered <= stream.received, () => stream.about('delivered more than it got'));
    this.#exposure -= bytes;
  }

  /** The stream is over for this end. */
  over(id: number): void {
    const stream = this.#streams.get(id);
    if (stream?.counted) this.#exposure -= stream.granted - stream.delivered;
    if (stream !== undefined) stream.counted = false;
    if (!this.#resetting.has(id)) this.#forget(id);
  }

  /** This end has reset the stream, and all `size` bytes are to go before. False: it is over already. */
  resetting(id: number, size: number): boolean {
    if (size === (this.#streams.get(id)?.acked ?? 0) || this.#ended.has(id)) return false;
    this.#resetting.set(id, size);
    return true;
  }

  /** It was reset after data, and the peer is not known to have all of that. */
  isResetting(id: number): boolean {
    return this.#resetting.has(id);
  }

  #sent(lane: number, seen: SeenLane, header: FrameHeader, payload: Uint8Array): void {
    const { type } = header;
    const name = `${this.#name}: ${frameName(type)} on lane ${lane}`;
    must(!seen.closeSent, () => `${name} after CLOSE`);
    if (type === FrameType.CLOSE) {
      seen.closeSent = true;
    } else if (type === FrameType.HELLO) {
      must(!seen.helloSent, () => `${name} twice`);
      must(this.#dialler || seen.helloGot, () => `${name} before the dialler's`);
      seen.helloSent = true;
      this.#windowToPeer = parseHello(payload).initialWindow;
    } else {
      must(seen.helloSent && seen.helloGot, () => `${name} before both HELLOs`);
      if (type === FrameType.RESUME) this.#resumeSent(header, payload);
      if (header.stream !== 0) this.#streamFrameSent(lane, header, payload);
    }
  }

  #streamFrameSent(lane: number, header: FrameHeader, payload: Uint8Array): void {
    const { stream: id, type } = header;
    const name = () => `${this.#name}: stream ${id}: ${frameName(type)}`;
    must(type !== FrameType.FIN || !this.#resetSent.has(id), () => `${name()} after RESET`);
    if (type === FrameType.RESET) this.#resetFrameSent(header, payload);
    if (type === FrameType.OPEN) this.#add(id, this.#windowFromPeer, header.offset, true);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    switch (type) {
      case FrameType.OPEN:
      case FrameType.ACCEPT:
        stream.lanes.add(lane);
        this.#grant(stream, header.offset);
        break;
      case FrameType.FIN:
        stream.sentFin(lane, header.offset);
        break;
      case FrameType.CREDIT:
        this.#grant(stream, header.offset);
        stream.acknowledges(parseNumber(payload, 0));
    }
  }

  #resetFrameSent({ stream: id, offset }: FrameHeader, payload: Uint8Array): void {
    const waits = parseReset(payload).code === 'connection-reset';
    const size = this.#resetting.get(id);
    if (waits && size !== undefined) {
      must(offset === size, () => `${this.#name}: stream ${id}: RESET at ${offset}, not ${size}`);
    } else if (!waits) {
      this.#resetSent.add(id);
      if (size !== undefined) this.#forget(id);
    }
  }

  /** Nothing more of it is due. */
  #forget(id: number): void {
    this.#over.add(id);
    this.#streams.delete(id);
    this.#resetting.delete(id);
  }

  /** The peer has ended the stream. */
  #endedThere(id: number): void {
    this.#ended.add(id);
    if (this.#resetting.has(id)) this.#forget(id);
  }

  #dataSent(lane: number, seen: SeenLane, id: number, offset: number, length: number): void {
    must(!seen.closeSent, () => `${this.#name}: DATA after CLOSE`);
    must(!this.#over.has(id), () => `${this.#name}: stream ${id}: DATA after its end`);
    this.#streams.get(id)?.sentData(lane, offset, length);
  }

  /**
   * Each loss is worth one set of records, and one more on each new lane while nobody knows whether
   * the peer has heard it.
   */
  #resumeSent(header: FrameHeader, payload: Uint8Array): void {
    if ((header.flags & FLAG_RESUME_LAST) !== 0) this.#setsSent++;
    const most = this.#lanesGone === 0 ? 0 : this.#lanesGone + this.#lanesAdded;
    must(
      this.#setsSent <= most,
      () =>
        `${this.#name}: ${this.#setsSent} sets with ${this.#lanesGone} of ${this.#lanesAdded} lanes lost`,
    );
    readResume(payload, {
      ...IGNORED,
      ended: () => {
        this.#recordsSent++;
      },
      stream: (entry) => {
        this.#recordsSent++;
        const stream = this.#streams.get(entry.id);
        if (stream === undefined) return;
        must(entry.received <= stream.received && entry.delivered <= stream.delivered, () =>
          stream.about(`RESUME claims ${entry.received}, ${entry.delivered} delivered`),
        );
        this.#grant(stream, entry.limit);
      },
    });
  }

  #got(seen: SeenLane, header: FrameHeader, payload: Uint8Array): void {
    const { type } = header;
    if (type === FrameType.HELLO) {
      seen.helloGot = true;
      this.#windowFromPeer = parseHello(payload).initialWindow;
    }
    if (type === FrameType.RESUME) this.#resumeGot(header, payload);
    if (type === FrameType.RESET) this.#endedThere(header.stream);
    if (type === FrameType.OPEN) this.#add(header.stream, 0, this.#windowToPeer, false);
    const stream = this.#streams.get(header.stream);
    if (stream === undefined) return;
    if (type === FrameType.OPEN || type === FrameType.ACCEPT || type === FrameType.CREDIT) {
      stream.credit = Math.max(stream.credit, header.offset);
    }
    if (type === FrameType.CREDIT) stream.acknowledged(parseNumber(payload, 0));
  }

  #resumeGot(header: FrameHeader, payload: Uint8Array): void {
    readResume(payload, {
      ...IGNORED,
      dead: (lane) => {
        if (!this.#dead.has(lane) && this.#lanes.has(lane)) this.#disturb(lane);
        this.#dead.add(lane);
      },
      ended: (id) => this.#endedThere(id),
      stream: (entry) => this.#streams.get(entry.id)?.synchronised(entry),
    });
    if ((header.flags & FLAG_RESUME_LAST) === 0) return;
    for (const stream of this.#streams.values()) stream.settled();
  }

  #disturb(lane: number): void {
    for (const stream of this.#streams.values()) stream.laneLost(lane);
  }

  #add(id: number, credit: number, granted: number, live: boolean): void {
    if (this.#over.has(id) || this.#streams.has(id)) return;
    const counted = live && !this.#resetting.has(id);
    this.#streams.set(id, new SeenStream(`${this.#name}: stream ${id}`, credit, granted, counted));
    if (counted) this.#exposure += granted;
  }

  /** A lower limit is no news: frames of another lane have overtaken it. */
  #grant(stream: SeenStream, limit: number): void {
    if (limit <= stream.granted) return;
    if (stream.counted) this.#exposure += limit - stream.granted;
    stream.granted = limit;
  }
}
