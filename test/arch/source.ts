/** Something found in a source text: what, and on which line (from 1). */
export interface Finding {
  readonly what: string;
  readonly line: number;
  readonly typeOnly: boolean;
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;

/** Every module a source text imports or re-exports, static or dynamic, in order. */
export function importsOf(text: string): Finding[] {
  const found: Finding[] = [];
  for (const match of withoutComments(text).matchAll(IMPORT)) {
    const what = match[2] ?? match[3]!;
    const at = match.index + match[0].search(/\S/);
    found.push({ what, line: lineOf(text, at), typeOnly: match[1] !== undefined });
  }
  return found;
}

const IMPURE =
  /(?<![.\w$])(Buffer|Date|setTimeout|setInterval|setImmediate|queueMicrotask|Promise|async|await|EventEmitter|process|console|performance|crypto|require|globalThis)\b(?!\s*[:?])|\bMath\.random\b/g;

/** What a pure folder must not use: the clock, timers, chance, promises, the process. */
export function impureUses(text: string): Finding[] {
  return [...stripped(text).matchAll(IMPURE)].map((match) => ({
    what: match[0],
    line: lineOf(text, match.index),
    typeOnly: false,
  }));
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** Comments and the text of strings replaced by blanks; code in template literals stays. */
export function stripped(text: string): string {
  return scan(text, true);
}

function withoutComments(text: string): string {
  return scan(text, false);
}

const TOKEN =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*(?=[\s.,;)\]])/g;

function scan(text: string, blankStrings: boolean): string {
  return text.replaceAll(TOKEN, (token) => {
    const comment = token.startsWith('//') || token.startsWith('/*');
    return comment || blankStrings ? token.replaceAll(/[^\n]/g, ' ') : token;
  });
}
