import type { StreamCode } from '../../../packages/proto/src/wire/codes.ts';
import type { Task } from '../clock.ts';
import { contentAt, contentMismatch } from './content.ts';
import type { Conversation, End, Outcome } from './conversation.ts';
import { must } from '../failure.ts';
import type { AppPlan } from '../plan.ts';
import type { SimSession } from '../nodes/sim-session.ts';

/** One end of a conversation: what a socket and the program behind it would do with the stream. */
export class App {
  readonly conversation: Conversation;
  readonly stream: number;
  readonly #session: SimSession;
  readonly #plan: AppPlan;
  readonly #here: End;
  readonly #there: End;
  readonly #tasks = new Set<Task>();
  #accepted: boolean;
  #answeredIn: number | undefined;
  #paused = false;
  #writing = false;
  #reading = false;
  #finReceived = false;
  /** The other end's connection was reset, and this one's is when what came before is delivered. */
  #resetBy: StreamCode | undefined;

  constructor(session: SimSession, stream: number, conversation: Conversation) {
    this.#session = session;
    this.stream = stream;
    this.conversation = conversation;
    const { node } = session;
    this.#accepted = conversation.plan.opener === node;
    this.#plan = conversation.plan.apps[conversation.plan.opener === node ? 0 : 1];
    this.#here = conversation.ends[node]!;
    this.#there = conversation.ends[1 - node]!;
    this.#here.attached = true;
  }

  /** Begins; the session knows the app by now. */
  start(): void {
    if (this.#plan.resetAfterMs !== undefined && !this.#healed) {
      this.#later(this.#plan.resetAfterMs, () => this.#giveUpPlanned());
    }
    if (this.#accepted) this.#write();
    else this.#planAnswer();
  }

  /** Most bytes of one write: how far a budget may be overdrawn by this end. */
  get chunkBytes(): number {
    return this.#plan.chunkBytes;
  }

  /** It was told that the peer has reset the stream. */
  get wasReset(): boolean {
    return this.#resetBy !== undefined;
  }

  data(bytes: Uint8Array): void {
    const { received } = this.#here;
    const direction = this.conversation.direction(1 - this.#session.node);
    const wrong = contentMismatch(direction, received, bytes);
    must(wrong < 0, () => `${this.#name}: wrong byte at ${received + wrong}`);
    this.#here.received += bytes.length;
    must(
      this.#here.received <= this.#there.written,
      () => `${this.#name}: received ${this.#here.received}, written ${this.#there.written}`,
    );
    this.#read();
  }

  fin(): void {
    const complete = this.#there.ended && this.#here.received === this.#there.written;
    must(complete, () => `${this.#name}: FIN after ${this.#here.received} bytes`);
    must(!this.#finReceived, () => `${this.#name}: FIN twice`);
    this.#finReceived = true;
    this.#read();
    this.#write();
  }

  /** The budget is used up. */
  pause(): void {
    this.#paused = true;
  }

  writable(): void {
    // A budget used up pauses streams too whose writer has not begun.
    const mayBePaused = this.#paused || this.#here.written === 0;
    must(mayBePaused, () => `${this.#name}: told to write on without having paused`);
    this.#paused = !this.#session.core.mayWrite(this.#session.nowMs, this.stream);
    this.#write();
  }

  accepted(): void {
    must(
      this.conversation.plan.opener === this.#session.node,
      () => `${this.#name}: accepted what it did not open`,
    );
  }

  /** The peer's reset. True: the stream is over for this end; else it is later. */
  reset(code: StreamCode): boolean {
    // Whoever has gone before it was accepted is not served: the reset had come before the answer
    // where both are of one round.
    const served = this.#accepted && this.#answeredIn !== this.#session.rounds;
    if (code !== 'connection-reset' || !served) return true;
    const whole = this.#here.received === this.#there.written;
    must(whole, () => `${this.#name}: reset after ${this.#here.received} bytes`);
    if (this.#undelivered === 0) return true;
    this.#resetBy = code;
    this.#read();
    return false;
  }

  /** The stream is over for this end. */
  over(outcome: Outcome): void {
    for (const task of this.#tasks) task.cancelled = true;
    this.#tasks.clear();
    this.conversation.settle(this.#session.node, outcome);
  }

  /** The faults are over: whoever hesitated goes on. */
  heal(): void {
    if (!this.#accepted && this.conversation.plan.answer === 'never') this.#answer();
    this.#write();
    this.#read();
  }

  get #name(): string {
    return this.conversation.name(this.#session.node);
  }

  get #healed(): boolean {
    return this.#session.world.healed;
  }

  #later(delayMs: number, run: () => void): void {
    const task = this.#session.after(delayMs, () => {
      this.#tasks.delete(task);
      run();
      this.#session.pump();
    });
    this.#tasks.add(task);
  }

  #planAnswer(): void {
    const { answer, answerAfterMs } = this.conversation.plan;
    if (answer === 'never' && !this.#healed) return;
    if (answerAfterMs === 0) this.#answer();
    else this.#later(answerAfterMs, () => this.#answer());
  }

  #answer(): void {
    if (this.#accepted || this.#here.outcome !== undefined) return;
    if (this.conversation.plan.answer === 'refuse') {
      this.#giveUp('target-refused', 'nobody listens');
      return;
    }
    this.#accepted = true;
    this.#answeredIn = this.#session.rounds;
    this.#session.core.accept(this.stream);
    this.#write();
    this.#read();
  }

  #giveUpPlanned(): void {
    if (!this.#healed) this.#giveUp('cancelled', 'planned');
  }

  #giveUp(code: StreamCode, reason: string): void {
    if (this.#here.outcome !== undefined) return;
    this.#session.giveUp(this, code, reason);
  }

  #write(): void {
    if (!this.#accepted || this.#paused || this.#writing || this.#here.ended) return;
    if (this.#here.outcome !== undefined || this.#resetBy !== undefined) return;
    const stuckAt = this.#healed ? Infinity : this.#plan.writeStuckAt;
    while (this.#here.written < Math.min(this.#plan.bytes, stuckAt)) {
      if (!this.#writeChunk(stuckAt)) return;
      if (this.#plan.writeEveryMs > 0 && !this.#healed) {
        this.#writing = true;
        this.#later(this.#plan.writeEveryMs, () => {
          this.#writing = false;
          this.#write();
        });
        return;
      }
    }
    if (this.#here.written < this.#plan.bytes) return;
    if (this.#plan.endsAfterPeer && !this.#finReceived) return;
    this.#end(this.#plan.resetsAtEnd);
  }

  #end(resets: AppPlan['resetsAtEnd']): void {
    if (resets !== 'instead') {
      this.#here.ended = true;
      this.#session.core.end(this.stream);
    }
    if (resets !== 'no') this.#giveUp('connection-reset', 'planned');
  }

  /** False when the session asks to wait. */
  #writeChunk(stuckAt: number): boolean {
    const left = Math.min(this.#plan.bytes, stuckAt) - this.#here.written;
    const direction = this.conversation.direction(this.#session.node);
    const chunk = contentAt(direction, this.#here.written, Math.min(left, this.#plan.chunkBytes));
    this.#here.written += chunk.length;
    this.#paused = !this.#session.core.write(this.#session.nowMs, this.stream, chunk);
    return !this.#paused;
  }

  #read(): void {
    if (!this.#accepted && !this.conversation.plan.deliversEarly) return;
    if (this.#reading || this.#here.outcome !== undefined) return;
    const reads = this.#healed ? 'at-once' : this.#plan.reads;
    if (reads === 'stuck') return;
    if (reads === 'at-once') {
      this.#deliver(Infinity);
      return;
    }
    if (this.#undelivered === 0 && !this.#finDue) return;
    this.#reading = true;
    this.#later(this.#plan.readEveryMs, () => {
      this.#reading = false;
      this.#deliver(reads === 'later' ? Infinity : this.#plan.readBytes);
      this.#read();
    });
  }

  get #undelivered(): number {
    return this.#here.received - this.#here.delivered;
  }

  get #finDue(): boolean {
    return this.#finReceived && !this.#here.finDelivered && this.#undelivered === 0;
  }

  #deliver(bytesMax: number): void {
    const bytes = Math.min(this.#undelivered, bytesMax);
    if (bytes > 0) {
      this.#here.delivered += bytes;
      this.#session.delivered(this.stream, bytes);
    }
    if (this.#resetBy !== undefined && this.#undelivered === 0) {
      this.#session.over(this.stream, { kind: 'reset', code: this.#resetBy });
      return;
    }
    if (!this.#finDue) return;
    this.#here.finDelivered = true;
    this.#session.core.finDelivered(this.stream);
  }
}
