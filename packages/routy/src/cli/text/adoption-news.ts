import type { EnrolmentEvent } from '../../enrol/enrol-protocol.ts';
import { RepeatLimiter } from '../../observe/repeat-limiter.ts';

const INTERVAL_MS = 60_000;
/** As many as there are kinds of refusal, and some. */
const KINDS_MAX = 64;

/**
 * What whoever waits to be adopted tells: the first refusal of a kind at once, further ones counted
 * and told once a minute. What a stranger says, and from where, makes no other kind.
 */
export class AdoptionNews {
  readonly #repeats = new RepeatLimiter<string>(INTERVAL_MS, KINDS_MAX);
  readonly #write: (line: string) => void;
  readonly #nowMs: () => number;
  readonly #timer: NodeJS.Timeout;

  constructor(write: (line: string) => void, nowMs = () => performance.now()) {
    this.#write = write;
    this.#nowMs = nowMs;
    this.#timer = setInterval(() => this.#tell(this.#repeats.due(this.#nowMs())), INTERVAL_MS / 4);
    this.#timer.unref();
  }

  note(event: EnrolmentEvent): void {
    if (event.kind === 'enrolled') {
      this.#write(`adopted by ${event.remote}`);
      return;
    }
    const { by, remote, reason, code } = event;
    const who = by === 'us' ? 'refused' : 'was refused by';
    const line = `${who} ${remote}: ${reason} (${code}); still waiting`;
    const kind = by === 'us' ? code : '';
    if (this.#repeats.note(this.#nowMs(), kind, line)) this.#write(line);
  }

  /** Tells what was counted since. */
  close(): void {
    clearInterval(this.#timer);
    this.#tell(this.#repeats.flush());
  }

  #tell(repeated: readonly { value: string; count: number }[]): void {
    for (const { value, count } of repeated) this.#write(`${value} (${count} more of the kind)`);
  }
}
