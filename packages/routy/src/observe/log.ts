import { isatty } from 'node:tty';
import { type DestinationStream, type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { LogLevel } from '../config/types.ts';
import { lineFields, lineText } from './line.ts';
import { LineCap, type Unwritten } from './line-cap.ts';
import { LineWriter, type LostLines } from './line-writer.ts';
import { openOutput } from './output.ts';
import { type Repeated, RepeatLimiter } from './repeat-limiter.ts';

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

/**
 * `about`: the fields that make two lines the same, where it is not those of `OWN`. Nothing may be
 * among them that a stranger or a peer chooses.
 */
type WriteRepeated = (
  event: string,
  message: string,
  fields?: LogFields,
  about?: LogFields,
) => void;

export interface Log {
  readonly error: Write;
  readonly warn: Write;
  readonly info: Write;
  readonly debug: Write;
  readonly trace: Write;
  /**
   * A warning that may come many times. The same failure (event, code and whom or what of ours it is
   * about) is written at once the first time, afterwards as one line a minute with `repeated` and
   * `last`. So many lines of one event, and of all, are written in a minute, whatever comes.
   */
  readonly failure: WriteRepeated;
  /** The same for what is no failure, and for what ends: a few a minute are written at once. */
  news(level: 'info' | 'warn', ...line: Parameters<WriteRepeated>): void;
  /** Counted lines with these fields in what they are about are never written: it is gone. */
  forget(about: LogFields): void;
  level(): LogLevel;
  setLevel(level: LogLevel): void;
  /** Lines that whoever reads the log did not take in time; it is never waited for. */
  lost(): LogLoss;
  /** Writes what is still counted: nothing of it is to come behind the line that follows. */
  tellCounted(): void;
  /** The same, and stops the minute timer; waits for the reader only shortly. */
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
/** Different ones remembered at once; those beyond are bounded as lines are. */
const REPEAT_KEYS_MAX = 1_000;

/** Of the same news so many are written at once in a minute. */
const NEWS_MAX = 10;
/** Lines in a minute that others can cause: of one event, and of all. */
const EVENT_LINES_MAX = 20;
const LINES_MAX = 50;

interface Line {
  readonly level: 'info' | 'warn';
  readonly event: string;
  readonly message: string;
  readonly fields: LogFields;
  readonly about: LogFields;
  /** Unix ms. */
  readonly atMs: number;
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
  readonly #repeats: RepeatLimiter<Line>;
  readonly #cap: LineCap<Line>;
  readonly #timer: NodeJS.Timeout;
  readonly #stdout: LineWriter | undefined;

  constructor(logger: Logger, repeatIntervalMs: number, stdout: LineWriter | undefined) {
    this.#logger = logger;
    this.#stdout = stdout;
    this.#repeats = new RepeatLimiter(repeatIntervalMs, REPEAT_KEYS_MAX);
    this.#cap = new LineCap({
      intervalMs: repeatIntervalMs,
      event: EVENT_LINES_MAX,
      all: LINES_MAX,
    });
    this.#timer = setInterval(() => this.#report(performance.now()), repeatIntervalMs / 4);
    this.#timer.unref();
  }

  readonly error: Write = (event, message, fields) => this.#write('error', event, message, fields);
  readonly warn: Write = (event, message, fields) => this.#write('warn', event, message, fields);
  readonly info: Write = (event, message, fields) => this.#write('info', event, message, fields);
  readonly debug: Write = (event, message, fields) => this.#write('debug', event, message, fields);
  readonly trace: Write = (event, message, fields) => this.#write('trace', event, message, fields);

  readonly failure: WriteRepeated = (event, message, fields = {}, about = ownOf(fields)) => {
    this.#note({ level: 'warn', event, message, fields, about, atMs: Date.now() }, 1);
  };

  news(
    level: 'info' | 'warn',
    ...[event, message, fields, about]: Parameters<WriteRepeated>
  ): void {
    const line = { level, event, message, fields: fields ?? {}, atMs: Date.now() };
    this.#note({ ...line, about: about ?? ownOf(line.fields) }, NEWS_MAX);
  }

  forget(about: LogFields): void {
    const wanted = Object.entries(about);
    const isAbout = (line: Line) => wanted.every(([name, value]) => line.about[name] === value);
    this.#repeats.forget(isAbout);
    this.#cap.forget(isAbout);
  }

  level(): LogLevel {
    return this.#logger.level as LogLevel;
  }

  setLevel(level: LogLevel): void {
    this.#logger.level = level;
  }

  tellCounted(): void {
    const nowMs = performance.now();
    // Under a new cap: the end is no reason to leave out what was counted.
    this.#tellUnwritten(this.#cap.flush(nowMs));
    this.#tellRepeated(nowMs, this.#repeats.flush());
    this.#tellUnwritten(this.#cap.flush(nowMs));
  }

  close(): void {
    clearInterval(this.#timer);
    this.tellCounted();
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

  #note(line: Line, atOnceMax: number): void {
    const nowMs = performance.now();
    const key = JSON.stringify([line.event, line.about]);
    const isNew = this.#repeats.note(nowMs, key, line, atOnceMax);
    const written = isNew && this.#cap.admits(nowMs, line.event, line);
    this.#write(written ? line.level : 'debug', line.event, line.message, line.fields);
  }

  #report(nowMs: number): void {
    this.#tellUnwritten(this.#cap.due(nowMs));
    this.#tellRepeated(nowMs, this.#repeats.due(nowMs));
  }

  #tellRepeated(nowMs: number, repeated: readonly Repeated<Line>[]): void {
    for (const { value: line, count } of repeated) {
      if (!this.#cap.admits(nowMs, line.event, line, count)) continue;
      const last = new Date(line.atMs).toISOString();
      const message = `${lineText(line.message, 900)} (${count} more since the last line)`;
      this.#write(line.level, line.event, message, { ...line.fields, repeated: count, last });
    }
  }

  #tellUnwritten(unwritten: readonly Unwritten<Line>[]): void {
    for (const { event, count, value } of unwritten) {
      const last = value === undefined ? undefined : new Date(value.atMs).toISOString();
      const text = value === undefined ? '' : `, the last one: ${lineText(value.message, 512)}`;
      const message = `${count} more of ${event} in this minute were not written${text}`;
      this.#write(value?.level ?? 'warn', event, message, { unwritten: count, last });
    }
  }

  #write(level: LogLevel, event: string, message: string, fields: LogFields = {}): void {
    if (!this.#logger.isLevelEnabled(level)) return;
    this.#logger[level]({ event, ...lineFields(fields) }, lineText(message));
  }
}

/** What lines name of our own: configured, or proved by a certificate of the fabric. */
const OWN = ['code', 'peer', 'forward', 'listen', 'addresses', 'address', 'what'] as const;

function ownOf(fields: LogFields): LogFields {
  return Object.fromEntries(OWN.map((name) => [name, fields[name]]));
}
