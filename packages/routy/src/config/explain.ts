import type * as z from 'zod';
import { type Shape, shapeAt, shapeOf, tableName, tablesWithKey } from './schema/shape.ts';
import type { KeyPath, ProblemText, TomlDocument } from './toml/document.ts';
import { maskPasswords } from './toml/mask.ts';
import { didYouMean, nearestName } from './toml/nearest.ts';
import type { ConfigProblem } from './toml/problems.ts';

/**
 * Says in people's words what the schema found wrong. A key that is missing because it is misspelt
 * is one mistake and is told once.
 */
export function explainIssues(
  document: TomlDocument,
  issues: readonly z.core.$ZodIssue[],
): ConfigProblem[] {
  const misspelt = new Set<string>();
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue;
    for (const key of issue.keys) {
      const meant = nearestName(key, knownKeys(issue.path as KeyPath));
      if (meant !== undefined) misspelt.add(JSON.stringify([...issue.path, meant]));
    }
  }
  return issues.flatMap((issue) => {
    const path = issue.path as KeyPath;
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey(document, path, key));
    }
    const value = valueAt(document.value, path);
    if (value !== undefined) return [wrongValue(document, path, value, issue)];
    return misspelt.has(JSON.stringify(path)) ? [] : [missingKey(document, path)];
  });
}

function knownKeys(table: KeyPath): string[] {
  const shape = shapeAt(table);
  return shape?.kind === 'table' ? Object.keys(shape.keys) : [];
}

function unknownKey(document: TomlDocument, table: KeyPath, key: string): ConfigProblem {
  const known = knownKeys(table);
  const path = [...table, key];
  if (table.length === 0 && isTable(valueAt(document.value, path))) {
    const nearest = nearestName(key, known);
    const message = `unknown table [${key}]${nearest === undefined ? '' : `; did you mean ${written(nearest)}?`}`;
    const hint = nearest === undefined ? `tables are ${known.map(written).join(', ')}` : undefined;
    return document.atKey(path, { message, hint });
  }
  const meant = didYouMean(key, known);
  const elsewhere = meant === '' ? tablesWithKey(key) : [];
  const hint =
    elsewhere.length > 0
      ? `"${key}" belongs in ${elsewhere.join(' or ')}`
      : meant === ''
        ? `${table.length === 0 ? 'tables' : `keys of ${tableName(table)}`} are ${known.join(', ')}`
        : undefined;
  const where = table.length === 0 ? 'at the top level' : `in ${tableName(table)}`;
  const message = `unknown key "${key}" ${where}${meant}`;
  return document.atKey(path, { message, hint });
}

function missingKey(document: TomlDocument, path: KeyPath): ConfigProblem {
  const key = String(path.at(-1));
  const table = path.slice(0, -1);
  const shape = shapeAt(path);
  if (shape?.kind === 'table') {
    const keys = Object.keys(shape.keys).slice(0, 2).join(' and ');
    return document.atKey(path, {
      message: `missing table [${key}]`,
      hint: `add [${key}] with ${keys}`,
    });
  }
  const example = shape?.kind === 'value' ? shape.meta?.example : undefined;
  return document.atKey(table, {
    message: `missing key "${key}" in ${tableName(table)}`,
    hint: example === undefined ? undefined : `add ${key} = ${example}`,
  });
}

function wrongValue(
  document: TomlDocument,
  path: KeyPath,
  value: unknown,
  issue: z.core.$ZodIssue,
): ConfigProblem {
  const what = describePlace(path);
  if (issue.code === 'custom') {
    return document.atValue(path, { message: `${what}: ${issue.message}` });
  }
  const shape = shapeAt(path);
  const bracketHint = bracketMistake(path, shape, value);
  if (bracketHint !== undefined) return document.atKey(path, bracketHint);
  return document.atValue(path, {
    message: `${what}: expected ${expectation(shape)}, got ${path.at(-1) === 'via' ? 'something else' : describeValue(value)}`,
    hint: repairHint(path, shape, value),
  });
}

function expectation(shape: Shape | undefined): string {
  if (shape?.kind === 'value') return shape.meta?.expects ?? 'another value';
  if (shape?.kind === 'list') return `a list such as ${exampleList(shape)}`;
  return 'a table';
}

function exampleList(shape: Shape & { kind: 'list' }): string {
  const element = shapeOf(shape.element);
  const example = element.kind === 'value' ? (element.meta?.example ?? '') : '{ ... }';
  return example.startsWith('[') ? example : `[${example}]`;
}

/** `[forward]` for `[[forward]]` and the reverse. */
function bracketMistake(
  path: KeyPath,
  shape: Shape | undefined,
  value: unknown,
): ProblemText | undefined {
  const names = path.join('.');
  const holdsTables = shape?.kind === 'list' && shapeOf(shape.element).kind === 'table';
  if (holdsTables && isTable(value)) {
    return { message: `there may be several ${names} tables: write [[${names}]]` };
  }
  if (shape?.kind === 'table' && Array.isArray(value)) {
    return { message: `there is one ${names} table: write [${names}]` };
  }
  return undefined;
}

/** What to write instead when only quotes or brackets are missing or too many. */
function repairHint(path: KeyPath, shape: Shape | undefined, value: unknown): string | undefined {
  const key = path.findLast((part) => typeof part === 'string');
  if (shape?.kind === 'list' && typeof value === 'string') return `write ${key} = ["${value}"]`;
  if (shape?.kind !== 'value') return undefined;
  const { meta } = shape;
  if (meta?.unit === 'count' && typeof value === 'string' && /^\d+$/.test(value)) {
    return `write ${key} = ${value}`;
  }
  if (typeof value !== 'number' || meta === undefined) return undefined;
  if (meta.unit === 'duration') return `with its unit, for example ${key} = "${value}s"`;
  if (meta.unit === 'size') return `with its unit, for example ${key} = "${value}MiB"`;
  return undefined;
}

/** `"target" in [service.postgres]`. */
export function describePlace(path: KeyPath): string {
  const at = path.findLastIndex((part) => typeof part === 'string');
  const table = path.slice(0, at);
  return table.length === 0 ? `"${path[at]}"` : `"${path[at]}" in ${tableName(table)}`;
}

function describeValue(value: unknown): string {
  if (typeof value === 'string') return `the string "${maskPasswords(value)}"`;
  if (typeof value === 'number' || typeof value === 'bigint') return `the number ${value}`;
  if (typeof value === 'boolean') return `the boolean ${value}`;
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  return value instanceof Date ? 'a date' : 'a table';
}

/** `[node]`, or `[[peer]]` for a table of which there may be several. */
function written(table: string): string {
  const kind = shapeAt([table])?.kind;
  if (kind === 'list') return `[[${table}]]`;
  return kind === 'named-tables' ? `[${table}.NAME]` : `[${table}]`;
}

/** The value at a path; undefined where the file has none. */
export function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function isTable(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every(isTable);
  return typeof value === 'object' && value !== null && !(value instanceof Date);
}
