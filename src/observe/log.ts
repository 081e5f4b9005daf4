import { isatty } from 'node:tty';
import { type DestinationStream, type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { LogLevel } from '../config/types.ts';
import { LineWriter, type LostLines } from './line-writer.ts';
import { openOutput } from './output.ts';
import { redactFields, redactText } from './redact.ts';
import { RepeatLimiter } from './repeat-limiter.ts';

/** Fields of a line besides `event` and the message. Secrets are taken out before writing. */
export interface LogFields {
  /** The other node, `site/node`. */
  readonly peer?: string | undefined;
  /** Stable, kebab-case. */
  readonly code?: string | undefined;
  /** What happened, for people. */
  readonly reason?: string | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
  readonly [name: string]: unknown;
}

/** `event` is a stable kebab-case name programs match on; `message` is one line for people. */
type Write = (event: string, message: string, fields?: LogFields) => void;

/** `same`: the fields that make two failures the same, where that is not all of them. */
type WriteFailure = (event: string, message: string, fields?: LogFields, same?: LogFields) => void;

export interface Log {
  readonly error: Write;
  readonly warn: Write;
  readonly info: Write;
  readonly debug: Write;
  readonly trace: Write;
  /**
   * A warning that may come many times. The same failure (event and all fields but those of
   * `FIGURES`) is written at once the first time, afterwards as one line a minute with `repeated`.
   */
  readonly failure: WriteFailure;
  level(): LogLevel;
  setLevel(level: LogLevel): void;
  /** Lines that whoever reads the log did not take in time; it is never waited for. */
  lost(): LogLoss;
  /** Writes what is still counted and stops the minute timer; waits for the reader only shortly. */
  close(): void;
}

export interface LogLoss {
  /** Since the start. */
  readonly lines: number;
  /** Since when lines are being lost at the moment, Unix ms; null while none are. */
  readonly sinceMs: number | null;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** `auto`: pretty when stdout is a terminal, else JSON. */
  readonly format: 'json' | 'pretty' | 'auto';
  /** Where lines go instead of stdout, for tests. */
  readonly stream?: DestinationStream;
  /** How long repeated failures are counted, in ms; a minute by default. */
  readonly repeatIntervalMs?: number;
}

const REPEAT_INTERVAL_MS = 60_000;
/** Different failures remembered at once; a port scan must not fill the memory. */
const REPEAT_KEYS_MAX = 1_000;

interface Failure {
  readonly event: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Kept for a reader of the log that does not read at the moment. */
const BUFFER_BYTES = 256 * 1024;
/** The end of the process waits so long for a reader that does not read. */
const FLUSH_MS = 500;

/**
 * The node's log: pino on stdout. Each line is written at once when its reader takes it, so that the
 * last one before an end is not lost; a reader that stalls is never waited for.
 */
export function createLog(options: LogOptions): Log {
  const stdout =
    options.stream === undefined ? openStdout((lost) => log.tellLost(lost)) : undefined;
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    formatted(options, stdout ?? options.stream!),
  );
  const log = new PinoLog(logger, options.repeatIntervalMs ?? REPEAT_INTERVAL_MS, stdout);
  return log;
}

function openStdout(onRelief: (lost: LostLines) => void): LineWriter {
  return new LineWriter(openOutput(1), { bufferMax: BUFFER_BYTES, onRelief });
}

function formatted(options: LogOptions, target: DestinationStream): DestinationStream {
  const pretty = options.format === 'pretty' || (options.format === 'auto' && isatty(1));
  if (!pretty) return target;
  const format = prettyFactory({
    colorize: options.stream === undefined && isatty(1),
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'event',
    singleLine: true,
  });
  return { write: (line) => target.write(format(line)) };
}

class PinoLog implements Log {
  readonly #logger: Logger;
  readonly #repeats: RepeatLimiter<Failure>;
  readonly #timer: NodeJS.Timeout;
  readonly #stdout: LineWriter | undefined;

  constructor(logger: Logger, repeatIntervalMs: number, stdout: LineWriter | undefined) {
    this.#logger = logger;
    this.#stdout = stdout;
    this.#repeats = new RepeatLimiter(repeatIntervalMs, REPEAT_KEYS_MAX);
    this.#timer = setInterval(
      () => this.#report(this.#repeats.due(performance.now())),
      repeatIntervalMs / 4,
    );
    this.#timer.unref();
  }

  readonly error: Write = (event, message, fields) => this.#write('error', event, message, fields);
  readonly warn: Write = (event, message, fields) => this.#write('warn', event, message, fields);
  readonly info: Write = (event, message, fields) => this.#write('info', event, message, fields);
  readonly debug: Write = (event, message, fields) => this.#write('debug', event, message, fields);
  readonly trace: Write = (event, message, fields) => this.#write('trace', event, message, fields);

  readonly failure: WriteFailure = (event, message, fields = {}, same = fields) => {
    const failure = { event, message, fields };
    if (this.#repeats.note(performance.now(), failureKey(event, same), failure)) {
      this.#write('warn', event, message, fields);
    } else {
      this.#write('debug', event, message, fields);
    }
  };

  level(): LogLevel {
    return this.#logger.level as LogLevel;
  }

  setLevel(level: LogLevel): void {
    this.#logger.level = level;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#report(this.#repeats.flush());
    this.#stdout?.flush(FLUSH_MS);
  }

  lost(): LogLoss {
    return {
      lines: this.#stdout?.lostInAll ?? 0,
      sinceMs: this.#stdout?.losingSinceMs ?? null,
    };
  }

  /** At whatever level: there may have been errors among them. */
  tellLost({ lines, sinceMs }: LostLines): void {
    const since = new Date(sinceMs).toISOString();
    const message = `${lines} lines of this log were lost since ${since}: whoever reads it did not take them`;
    const hint = 'Look at the program that reads the log, or at the disk it is written to.';
    this.#write('error', 'log-lost', message, { lines, since, hint });
  }

  #report(repeated: readonly { value: Failure; count: number }[]): void {
    for (const { value, count } of repeated) {
      const message = `${value.message} (${count} more since the last line)`;
      this.#write('warn', value.event, message, { ...value.fields, repeated: count });
    }
  }

  #write(level: LogLevel, event: string, message: string, fields: LogFields = {}): void {
    if (!this.#logger.isLevelEnabled(level)) return;
    this.#logger[level]({ event, ...redactFields(fields) }, redactText(message));
  }
}

/** Fields that are another figure each time, and would make every failure a new one. */
const FIGURES: ReadonlySet<string> = new Set(['attempts', 'delayMs', 'bytes']);

/** What makes two failures the same: everything but the figures. */
function failureKey(event: string, fields: LogFields): string {
  const same = Object.entries(fields).filter(([name]) => !FIGURES.has(name));
  return JSON.stringify([event, Object.fromEntries(same)]);
}
