import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errorText, RoutyError } from '@routy/proto/base';

const POLL_MS = 25;

/** How long one step of the demo may take on a slow machine, in ms. */
const STEP_TIMEOUT_MS = 40_000;

type Undo = () => Promise<void> | void;

/** What the demo stands on: a temporary directory, what was started in it, and how it all ends. */
export class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), 'routy-demo-'));
  readonly #abort = new AbortController();
  readonly #undos: Undo[] = [() => rmSync(this.directory, { recursive: true, force: true })];

  /** Aborted when the demo cannot or should not go on; the reason is the error to end with. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends whatever the demo is waiting for with this error. */
  abort(error: RoutyError): void {
    this.#abort.abort(error);
  }

  /** Remembers how to undo what was just started. */
  onEnd(undo: Undo): void {
    this.#undos.push(undo);
  }

  /** Stops everything, the last started first, and removes the directory. */
  async strike(): Promise<void> {
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      await undo();
    }
  }

  async sleep(ms: number): Promise<void> {
    await this.#unlessAborted(delay(ms, undefined, { signal: this.signal }));
  }

  /**
   * Asks until there is an answer. A question that fails is asked again; the last failure is told
   * when the time is over.
   */
  async until<T>(what: string, ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
    const endMs = performance.now() + STEP_TIMEOUT_MS;
    let failure = '';
    for (;;) {
      this.signal.throwIfAborted();
      try {
        const answer = await ask();
        if (answer !== undefined) return answer;
        failure = '';
      } catch (error) {
        failure = `: ${errorText(error)}`;
      }
      if (performance.now() > endMs) {
        throw new RoutyError('demo-timeout', `waited in vain until ${what}${failure}`, {
          hint: 'a very slow or very busy machine? try again; the logs stay with "npm run demo -- --keep"',
        });
      }
      await this.sleep(POLL_MS);
    }
  }

  /** The error of an aborted wait is the reason of the abort. */
  async #unlessAborted(wait: Promise<void>): Promise<void> {
    try {
      await wait;
    } catch (error) {
      this.signal.throwIfAborted();
      throw error;
    }
  }
}
