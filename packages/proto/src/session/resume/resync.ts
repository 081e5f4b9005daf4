import type { StreamCode } from '../../wire/codes.ts';
import { FLAG_RESUME_LAST } from '../../wire/layout.ts';
import { ProtocolError } from '../../wire/protocol-error.ts';
import { type ResumeSink, type ResumeStream, ResumeWriter, readResume } from '../../wire/resume.ts';
import type { Stream, StreamLane } from '../streams/stream.ts';
import type { StreamReceiver } from '../streams/stream-receiver.ts';
import type { StreamSender } from '../streams/stream-sender.ts';
import type { StreamTable } from '../streams/stream-table.ts';

/** Lost lanes that a RESUME names. Older ones were noticed long ago. */
const DEAD_MAX = 64;

/**
 * What becomes of streams when a lane is lost. Nobody knows how much of what was sent on it has
 * arrived, so every stream that used it falls silent until the peer's RESUME has told what it has;
 * then what is missing is sent again.
 *
 * Everything a RESUME says stays true (offsets only rise, ids once seen stay seen), so one that
 * was made long ago or that is overtaken by others does no harm: it only makes this side send more
 * again than it has to, and the peer ignores what it has.
 */
export class Resync {
  readonly #store: StreamTable;
  readonly #sender: StreamSender;
  readonly #receiver: StreamReceiver;
  /** Ids, latest last. */
  readonly #dead: number[] = [];
  /** RESUMEs that have begun to arrive. */
  #sets = 0;
  /** What has not come to its last frame; forgotten with its lane. */
  readonly #arriving = new WeakMap<StreamLane, ResumeSet>();
  /** Lanes on which the peer was told of all losses so far, with the last PING before it. */
  readonly #said = new Map<number, number>();
  /** The peer is not known to have been told of every loss: a new lane begins with it. */
  owed = false;

  constructor(store: StreamTable, sender: StreamSender, receiver: StreamReceiver) {
    this.#store = store;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** The lane is gone: whatever used it waits for the peer's RESUME. */
  laneLost(lane: StreamLane): void {
    this.owed = true;
    this.#said.clear();
    this.#dead.push(lane.id);
    if (this.#dead.length > DEAD_MAX) this.#dead.shift();
    this.#store.tombstones.laneLost(lane.id);
    for (const stream of this.#store.all()) {
      if (stream.lane === lane || stream.spread.includes(lane)) {
        this.#store.lanes.settle(stream, undefined);
      }
    }
  }

  /** Tells the peer, on this lane, everything it may have missed or have to know. */
  say(lane: StreamLane): void {
    const { seen, tombstones, lastLocalId } = this.#store;
    const writer = new ResumeWriter(lane.writer);
    writer.opened(seen.watermark, Math.max(0, lastLocalId));
    for (const laneId of this.#dead) writer.dead(laneId);
    for (const id of seen.above()) writer.seen(id);
    for (const stream of this.#store.all()) writer.stream(resumeStream(stream));
    for (const [id, code] of tombstones.entries()) writer.ended(id, code);
    writer.end();
    tombstones.saidAgain(lane.id);
    this.#said.set(lane.id, lane.pinged);
  }

  /** A PING goes out on the lane. */
  pinged(lane: StreamLane, sequence: number): void {
    lane.pinged = sequence;
    this.#store.tombstones.pinged(lane.id, sequence);
  }

  /** Its answer came: the peer has read everything that was said on the lane before it. */
  ponged(lane: StreamLane, sequence: number): void {
    const { tombstones, unconfirmed } = this.#store;
    tombstones.ponged(lane.id, sequence, (id) => unconfirmed.heard(id));
    unconfirmed.ponged(lane.id, sequence);
    if (sequence > (this.#said.get(lane.id) ?? Infinity)) this.owed = false;
  }

  /** Takes a frame of the peer's RESUME. `lose` is called for each lane the peer has lost. */
  hear(
    nowMs: number,
    lane: StreamLane,
    flags: number,
    payload: Uint8Array,
    lose: (laneId: number) => void,
  ): void {
    const set = this.#arriving.get(lane) ?? this.#begin(lane);
    set.nowMs = nowMs;
    set.lose = (laneId) => {
      if (laneId === lane.id) throw new ProtocolError('resume', 'a lane says that it is lost');
      lose(laneId);
    };
    readResume(payload, set);
    if ((flags & FLAG_RESUME_LAST) === 0) return;
    this.#arriving.delete(lane);
    set.end();
  }

  #begin(lane: StreamLane): ResumeSet {
    const set = new ResumeSet(++this.#sets, lane, this.#store, this.#sender, this.#receiver);
    this.#arriving.set(lane, set);
    return set;
  }
}

function resumeStream(stream: Stream): ResumeStream {
  const { id, receive } = stream;
  const { received, delivered, limit } = receive;
  return {
    ...{ id, received, delivered, limit },
    open: stream.phase === 'open',
    finReceived: stream.finReceived,
    finDelivered: stream.finDelivered,
  };
}

/** One RESUME of the peer's, from its first record to its last. */
class ResumeSet implements ResumeSink {
  /** Rises with every set that begins to arrive. */
  readonly #number: number;
  /** It arrives here: of all lanes the one that is known to work, and so the primary lane of its streams. */
  readonly #lane: StreamLane;
  readonly #store: StreamTable;
  readonly #sender: StreamSender;
  readonly #receiver: StreamReceiver;
  /** Of the frame whose records come. */
  nowMs = 0;
  /** What is done about a lane the peer has lost. */
  lose: (laneId: number) => void = () => {};
  /** From the first record. */
  #seen: number | undefined;
  #opened = 0;

  constructor(
    number: number,
    lane: StreamLane,
    store: StreamTable,
    sender: StreamSender,
    receiver: StreamReceiver,
  ) {
    this.#number = number;
    this.#lane = lane;
    this.#store = store;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  opened(seen: number, opened: number): void {
    if (this.#seen !== undefined) throw new ProtocolError('resume', 'two first records in a set');
    if (seen > Math.max(0, this.#store.lastLocalId)) {
      throw neverOpened(seen);
    }
    this.#store.unconfirmed.heardUpTo(seen);
    this.#seen = seen;
    this.#opened = opened;
  }

  dead(laneId: number): void {
    this.#expectBegun();
    if (laneId === 0) throw new ProtocolError('resume', 'lane 0, which no session has, is lost');
    this.lose(laneId);
  }

  seen(id: number): void {
    this.#expectBegun();
    if (!this.#store.isLocal(id)) throw neverOpened(id);
    this.#expectOpened(id);
    this.#store.unconfirmed.heard(id);
    const stream = this.#store.get(id);
    if (stream !== undefined) stream.seenMark = this.#number;
  }

  stream(entry: ResumeStream): void {
    this.#expectBegun();
    this.#expectOpened(entry.id);
    this.#store.unconfirmed.heard(entry.id);
    const stream = this.#store.get(entry.id);
    if (stream === undefined) return;
    stream.resumeMark = Math.max(stream.resumeMark, this.#number);
    if (stream.lane === undefined) this.#synchronise(stream, entry);
  }

  ended(id: number, code: StreamCode | undefined): void {
    this.#expectBegun();
    this.#expectOpened(id);
    // Opened and given up at once, on a lane that was lost: nothing of it ever came here.
    if (!this.#store.isLocal(id)) this.#store.seen.add(id);
    this.#store.unconfirmed.heard(id);
    const stream = this.#store.get(id);
    if (stream === undefined) return;
    if (code !== undefined) {
      this.#store.end(stream, code, 'the peer reset the stream');
    } else if (stream.finSent && stream.finDelivered) {
      this.#store.acknowledge(stream, stream.send.written);
      stream.finAcked = true;
      this.#sender.settle(stream);
    } else {
      this.#store.end(stream, 'resume-mismatch', 'the peer ended a stream that has not ended here');
    }
  }

  /** The set is complete: what it does not speak of, the peer does not have. */
  end(): void {
    this.#expectBegun();
    for (const stream of this.#store.lanes.stale) {
      if (stream.resumeMark < this.#number) this.#missing(stream);
    }
  }

  #missing(stream: Stream): void {
    const { id } = stream;
    if (!this.#store.isLocal(id)) {
      // Its OPEN may have come after this set was made.
      if (id <= this.#opened) this.#store.end(stream, 'session-lost', 'the peer lost the stream');
    } else if (id <= this.#seen! || stream.seenMark === this.#number) {
      this.#store.end(stream, 'session-lost', 'the peer lost the stream');
    } else if (stream.phase === 'opening' && stream.send.acked === 0) {
      this.#openAgain(stream);
    }
    // Else the set is older than what the peer said of the stream, and a newer one is on its way.
  }

  /** OPEN was lost, or there was no lane to send it on. */
  #openAgain(stream: Stream): void {
    this.#rewind(stream, 0);
    stream.finCarried = false;
    this.#store.lanes.settle(stream, this.#lane);
    this.#sender.open(stream);
    this.#sender.sayReset(stream);
    this.#sender.schedule(stream);
  }

  #synchronise(stream: Stream, peer: ResumeStream): void {
    const problem = mismatch(stream, peer);
    if (problem !== undefined) {
      const reason = `${problem} in a RESUME`;
      this.#sender.reset(stream, 'resume-mismatch', reason);
      if (!stream.ownerless) {
        const { id } = stream;
        this.#store.events.push({ kind: 'reset', stream: id, code: 'resume-mismatch', reason });
      }
      return;
    }
    if (peer.delivered > stream.send.acked) this.#store.acknowledge(stream, peer.delivered);
    this.#rewind(stream, Math.max(peer.received, stream.send.acked));
    stream.finCarried = peer.finReceived;
    if (peer.finDelivered) stream.finAcked = true;
    if (peer.open) stream.confirmed = true;
    this.#store.lanes.settle(stream, this.#lane);
    if (stream.phase === 'open') {
      if (!peer.open && !this.#store.isLocal(stream.id)) this.#sender.accept(stream);
      this.#sender.credit(stream);
    }
    this.#sender.sayReset(stream);
    this.#receiver.raiseCredit(this.nowMs, stream, peer.limit);
    this.#sender.settle(stream);
  }

  #rewind(stream: Stream, offset: number): void {
    const { send } = stream;
    // Beyond what was sent when a replay was cut off that had not come so far.
    this.#store.totals.bytesReplayed += Math.max(0, send.sent - offset);
    send.rewind(offset);
  }

  /** An id of this side's was opened, and one of the peer's is at most what it says to have opened. */
  #expectOpened(id: number): void {
    const opened = this.#store.isLocal(id) ? this.#store.knows(id) : id <= this.#opened;
    if (id === 0 || !opened) throw neverOpened(id);
  }

  #expectBegun(): void {
    if (this.#seen === undefined) {
      throw new ProtocolError('resume', 'a set without its first record');
    }
  }
}

function neverOpened(id: number): ProtocolError {
  return new ProtocolError('resume', `stream ${id} was never opened`);
}

/** What the peer says of a stream and cannot be; undefined when all of it can. */
function mismatch(stream: Stream, peer: ResumeStream): string | undefined {
  const { send } = stream;
  if (peer.received > send.everSent) return `received ${peer.received}, sent ${send.everSent}`;
  if (peer.delivered > peer.received) {
    return `delivered ${peer.delivered}, received ${peer.received}`;
  }
  if (peer.limit < peer.delivered) return `limit ${peer.limit}, delivered ${peer.delivered}`;
  if (peer.finReceived && !stream.finSent) {
    return `FIN received at ${peer.received}, sent ${send.everSent} and no FIN`;
  }
  if (peer.finDelivered && (!peer.finReceived || peer.delivered !== send.written)) {
    return `FIN delivered with ${peer.delivered} of ${send.written} bytes`;
  }
  return undefined;
}
