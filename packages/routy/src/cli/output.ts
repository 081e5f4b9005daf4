import { errorText, RoutyError, visibleLines } from '@routy/proto/base';
import { ConfigError } from '../config/toml/problems.ts';

/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;

/** What a command writes: facts on stdout, as text or with `--json` as JSON; progress on stderr. */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** The result of the command. */
  facts(value: unknown, text: string): void {
    process.stdout.write(this.json ? jsonText(value) : withNewline(visibleLines(text)));
  }

  /** Something that goes on for a while; not part of the result. */
  progress(text: string): void {
    process.stderr.write(withNewline(visibleLines(text)));
  }

  /** Says why the command failed and gives its exit code. */
  failure(error: unknown): number {
    if (this.json) {
      process.stdout.write(jsonText({ error: errorFacts(error) }));
    } else {
      process.stderr.write(visibleLines(failureText(error)));
    }
    return error instanceof RoutyError && error.code === 'usage' ? EXIT.usage : EXIT.failed;
  }
}

/** A command line that cannot be meant: exit code 2. */
export function usageError(message: string, hint: string): RoutyError {
  return new RoutyError('usage', message, { hint });
}

function errorFacts(error: unknown): object {
  const code = error instanceof RoutyError ? error.code : 'internal';
  const hint = (error instanceof RoutyError ? error.hint : undefined) ?? null;
  const problems = error instanceof ConfigError ? { problems: error.problems } : {};
  return { code, message: errorText(error), hint, ...problems };
}

/** `routy: MESSAGE`, then `  hint: …`; the stack too for what can only be a defect. */
export function failureText(error: unknown): string {
  if (!(error instanceof RoutyError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `routy: internal error: ${stack}\n  hint: this is a defect of routy; report it with the lines above\n`;
  }
  // The problems of a file each say their place, which is what editors and people look for.
  const message = error instanceof ConfigError ? error.message : `routy: ${error.message}`;
  return withNewline(error.hint === undefined ? message : `${message}\n  hint: ${error.hint}`);
}

/** JSON in which characters that are not seen as what they are stand as escapes. */
function jsonText(value: unknown): string {
  const json = JSON.stringify(value, null, 2).replace(/[^\n\x20-\x7e]/gu, (char) =>
    visibleLines(char) === char ? char : jsonEscape(char),
  );
  return `${json}\n`;
}

function jsonEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}
