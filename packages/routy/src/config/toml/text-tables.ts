import { RoutyError } from '@routy/proto/base';
import type { KeyPath, TomlDocument } from './document.ts';

/** A TOML basic string with everything escaped that needs it. */
export function tomlString(text: string): string {
  const escaped = text.replace(/[\\"\p{Cc}]/gu, (char) =>
    char === '\\' || char === '"'
      ? `\\${char}`
      : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${escaped}"`;
}

/** A TOML array of strings on one line. */
export function tomlList(texts: readonly string[]): string {
  return `[${texts.map(tomlString).join(', ')}]`;
}

/**
 * The text with a table added after an empty line at the end. Line breaks are those of the text,
 * and a text without a final one stays so, which lets {@link removeTable} restore it exactly.
 */
export function appendTable(text: string, lines: readonly string[]): string {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const table = lines.join(newline);
  if (text === '') return table + newline;
  return text.endsWith('\n') ? text + newline + table + newline : text + newline + newline + table;
}

/**
 * The text without the table at `path`: its header, its keys, the comment lines right above and
 * right below it that touch no other table, and one empty line.
 */
export function removeTable(document: TomlDocument, path: KeyPath): string {
  const { text } = document;
  const index = document.tables.findIndex(
    (node) => node.type === 'TOMLTable' && samePath(node.resolvedKey, path),
  );
  const node = document.tables[index];
  const inside = document.tables.filter(
    (other) => other.type === 'TOMLTable' && startsWith(other.resolvedKey, path),
  );
  if (node === undefined || inside.length !== 1) throw notATable(path);
  const lines = linesOf(text);
  const lineAt = (offset: number) => lines.findLastIndex((line) => line.start <= offset);
  let first = lineAt(node.range[0]);
  let last = lineAt(Math.max(node.range[0], node.range[1] - 1));
  const nextNode = document.tables[index + 1];
  last = lastCommentBelow(lines, last, nextNode && lineAt(nextNode.range[0]));
  const floor = index === 0 ? 0 : lineAt(document.tables[index - 1]!.range[1] - 1) + 1;
  while (first > floor && isComment(lines[first - 1]!.text)) first--;
  if (first > 0 && isBlank(lines[first - 1]!.text)) first--;
  else if (isBlank(lines[last + 1]?.text)) last++;
  const kept = text.slice(0, lines[first]!.start);
  const rest = text.slice(lines[last]!.end);
  // The table ended the text without a line break: neither did the text before it was added.
  const unended = rest === '' && !text.endsWith('\n');
  return unended ? kept.replace(/\r?\n$/, '') : kept + rest;
}

interface Line {
  readonly start: number;
  /** After the line break. */
  readonly end: number;
  readonly text: string;
}

/** Comments that follow without an empty line belong to the table, unless they head the next one. */
function lastCommentBelow(lines: readonly Line[], last: number, next: number | undefined): number {
  let below = last;
  while (isComment(lines[below + 1]?.text)) below++;
  return next !== undefined && below + 1 === next ? last : below;
}

function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  let start = 0;
  for (const line of text.split('\n')) {
    const end = Math.min(text.length, start + line.length + 1);
    if (start < text.length) lines.push({ start, end, text: line });
    start = end;
  }
  return lines;
}

function isComment(line: string | undefined): boolean {
  return line?.trimStart().startsWith('#') ?? false;
}

function isBlank(line: string | undefined): boolean {
  return line?.trim() === '';
}

function samePath(a: KeyPath, b: KeyPath): boolean {
  return a.length === b.length && startsWith(a, b);
}

function startsWith(path: KeyPath, prefix: KeyPath): boolean {
  return prefix.every((part, index) => path[index] === part);
}

function notATable(path: KeyPath): RoutyError {
  const written = typeof path.at(-1) === 'number' ? `[[${path[0]}]]` : `[${path.join('.')}]`;
  return new RoutyError(
    'config-edit',
    `${path.join('.')} is not written as one ${written} table of its own`,
    { hint: 'remove it by hand, then run `routy check` and `routy reload`' },
  );
}
