import type { ResumeStream } from '../../../packages/proto/src/wire/resume.ts';
import { must } from '../failure.ts';

/** What the wire has shown of one stream, as one end of it sees it, and what that end may do. */
export class SeenStream {
  /** How far the peer lets this end send, as far as this end has heard. */
  credit: number;
  /** How far this end lets the peer send. */
  granted: number;
  /** Counts for the exposure: not while this end has not decided on a stream the peer opens. */
  counted: boolean;
  /** Bytes of the peer that came out of the session. */
  received = 0;
  delivered = 0;
  /**
   * Bytes of this end that the peer said it had delivered: in CREDIT, or in a RESUME that this end
   * was waiting for.
   */
  acked = 0;
  /** A lane that carried bytes of it is lost, and the peer has not said yet what it has. */
  stale = false;
  /** Lanes it was sent on. */
  readonly lanes = new Set<number>();
  readonly #name: string;
  /** End of what was ever sent. */
  #sent = 0;
  #finAt: number | undefined;
  /** A lane was lost since it began: it may have to say things again. */
  #disturbed = false;

  constructor(name: string, credit: number, granted: number, counted: boolean) {
    this.#name = name;
    this.credit = credit;
    this.granted = granted;
    this.counted = counted;
  }

  sentData(lane: number, offset: number, length: number): void {
    const end = offset + length;
    const range = `DATA ${offset}..${end}`;
    must(!this.stale, () => this.about(`${range} before the peer said what it has`));
    must(offset >= this.acked, () => this.about(`${range} below ${this.acked}, acknowledged`));
    must(offset <= this.#sent, () => this.about(`${range} leaves a gap after ${this.#sent}`));
    must(this.#disturbed || offset === this.#sent, () =>
      this.about(`${range} twice, no lane was lost`),
    );
    must(end <= this.credit, () => this.about(`${range}, credit ends at ${this.credit}`));
    must(end <= (this.#finAt ?? end), () => this.about(`${range} after FIN at ${this.#finAt}`));
    this.lanes.add(lane);
    this.#sent = Math.max(this.#sent, end);
  }

  sentFin(lane: number, offset: number): void {
    must(!this.stale, () => this.about('FIN before the peer said what it has'));
    must(this.#disturbed || this.#finAt === undefined, () =>
      this.about('FIN twice, no lane was lost'),
    );
    const known = this.#finAt ?? this.#sent;
    must(offset === known, () => this.about(`FIN at ${offset} instead of ${known}`));
    this.lanes.add(lane);
    this.#finAt = offset;
  }

  /** This end told the peer what it has delivered. */
  acknowledges(delivered: number): void {
    must(delivered <= this.delivered, () =>
      this.about(`acknowledges ${delivered} of ${this.delivered}`),
    );
  }

  /** The peer told what it has delivered. */
  acknowledged(delivered: number): void {
    this.acked = Math.max(this.acked, delivered);
  }

  laneLost(lane: number): void {
    if (this.lanes.delete(lane)) this.stale = true;
    // It may have been at home there without having sent anything.
    this.#disturbed = true;
  }

  /** The peer said in RESUME what it has. */
  synchronised({ limit, delivered }: ResumeStream): void {
    if (this.stale) this.acknowledged(delivered);
    this.credit = Math.max(this.credit, limit);
    this.settled();
  }

  /** What it has sent so far is known to have arrived or sent again, if a lane of it was lost. */
  settled(): void {
    this.stale = false;
    this.lanes.clear();
  }

  about(problem: string): string {
    return `${this.#name}: ${problem}`;
  }
}
