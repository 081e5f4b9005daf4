/**
 * The one error class of Routy. `code` is stable (kebab-case) and is what programs match on;
 * `message` says what is wrong; `hint` says what to do next.
 */
export class RoutyError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'RoutyError';
    this.code = code;
    this.hint = options.hint;
  }
}

/** Says what a caught value is, as one line without a stack. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws when a condition that only a defect in Routy can break is broken. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RoutyError('internal', `invariant broken: ${message}`);
}
