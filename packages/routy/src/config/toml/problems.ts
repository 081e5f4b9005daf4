import { RoutyError } from '@routy/proto/base';
import { maskPasswords } from './mask.ts';

/** One thing wrong, or doubtful, in a `routy.toml`. */
export interface ConfigProblem {
  /** The key, dotted: `service.postgres.target`, `forward.0.listen`; '' for the whole file. */
  readonly path: string;
  /** From 1; 0 when the problem has no place in the file. */
  readonly line: number;
  /** From 1, in UTF-16 code units; 0 when the problem has no place in the file. */
  readonly column: number;
  /** Code units to underline, from `column`. */
  readonly length: number;
  readonly message: string;
  /** What to do next. */
  readonly hint?: string | undefined;
  readonly severity: 'error' | 'warning';
}

/** Thrown for a file with errors: code `config-invalid`; the message is every problem, rendered. */
export class ConfigError extends RoutyError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], text: string, fileName: string) {
    super('config-invalid', renderProblems(problems, text, fileName), {
      hint: `correct ${fileName}; \`routy check ${fileName}\` looks at it again`,
    });
    this.problems = problems;
  }
}

/** {@link renderProblem} of each, in the order of the file, separated by line breaks. */
export function renderProblems(
  problems: readonly ConfigProblem[],
  text: string,
  fileName: string,
): string {
  const sources = text.split('\n');
  return sortProblems(problems)
    .map((problem) => renderProblem(problem, sources, fileName))
    .join('\n');
}

/**
 * `routy.toml:12:1: error: unknown key "tagret" in [service.postgres]; did you mean "target"?`,
 * then the source line with the place underlined, then the hint.
 */
function renderProblem(
  problem: ConfigProblem,
  sources: readonly string[],
  fileName: string,
): string {
  const { line, column, severity, message, hint } = problem;
  const place = line > 0 ? `${fileName}:${line}:${column}` : fileName;
  const lines = [`${place}: ${severity}: ${message}`];
  const source = sources[line - 1]?.replace(/\r$/, '');
  if (line > 0 && source !== undefined && source.trim() !== '') {
    const gutter = String(line).padStart(5);
    // Tabs stay tabs before the caret, so that it stands below its place however wide they are.
    const indent = source.slice(0, column - 1).replace(/[^\t]/g, ' ');
    const room = Math.max(1, source.length - column + 1);
    const carets = '^'.repeat(Math.max(1, Math.min(problem.length, room)));
    lines.push(
      `${gutter} | ${maskPasswords(source)}`,
      `${' '.repeat(gutter.length)} | ${indent}${carets}`,
    );
  }
  if (hint !== undefined) lines.push(`  hint: ${hint}`);
  return lines.join('\n');
}

/** In the order of the file; problems without a place last. */
export function sortProblems(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const line = (problem: ConfigProblem) => problem.line || Number.MAX_SAFE_INTEGER;
  return [...problems].sort((a, b) => line(a) - line(b) || a.column - b.column);
}

export function hasErrors(problems: readonly ConfigProblem[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}
