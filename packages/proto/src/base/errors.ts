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

/** Says what a caught value is, as one line without a stack; anything can be thrown. */
export function errorText(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return 'something that cannot be shown';
  }
}

/** Something that only a defect in Routy can break is broken: going on would do damage. */
export class InvariantError extends RoutyError {
  constructor(message: string) {
    super('internal', `invariant broken: ${message}`);
    this.name = 'InvariantError';
  }
}

/**
 * Throws an {@link InvariantError} when the condition does not hold; always, in production too. The
 * values are said with the message: it should be a constant, since it is made at every call.
 */
export function invariant(
  condition: boolean,
  message: string,
  a?: number,
  b?: number,
): asserts condition {
  if (!condition) throw new InvariantError(message + valuesText(a, b));
}

function valuesText(a?: number, b?: number): string {
  const values = [a, b].filter((value) => value !== undefined);
  return values.length === 0 ? '' : ` (${values.join(', ')})`;
}
