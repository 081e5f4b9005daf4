import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import type { ConfigProblem } from './problems.ts';

/** From a table of the top level down: `['service', 'postgres', 'target']`, `['forward', 0]`. */
export type KeyPath = readonly (string | number)[];

/** Offsets in the text, end exclusive. */
export type Range = readonly [start: number, end: number];

type Table = Record<string | number, unknown>;

interface Place {
  readonly key: Range;
  readonly value: Range;
}

/** A `routy.toml` as read by the TOML parser: its value, and where every part of it stands. */
export class TomlDocument {
  readonly text: string;
  /** Tables as objects without prototype, arrays of tables as arrays, dates as Date. */
  readonly value: Readonly<Table>;
  readonly tables: readonly (AST.TOMLTable | AST.TOMLKeyValue)[];
  readonly #places: ReadonlyMap<string, Place>;
  readonly #lineStarts: readonly number[];

  constructor(text: string, program: AST.TOMLProgram) {
    this.text = text;
    this.tables = program.body[0].body;
    this.value = valueOfTables(this.tables);
    this.#places = placesOf(this.tables);
    this.#lineStarts = lineStartsOf(text);
  }

  /** A problem at the key, or at the nearest table around it that is written in the file. */
  atKey(path: KeyPath, problem: ProblemText): ConfigProblem {
    return this.#at(path, 'key', problem);
  }

  /** A problem at the value, or at the nearest table around it that is written in the file. */
  atValue(path: KeyPath, problem: ProblemText): ConfigProblem {
    return this.#at(path, this.#places.has(keyOf(path)) ? 'value' : 'key', problem);
  }

  /** Line of a key, from 1, for a message that points at another place. */
  lineOf(path: KeyPath): number {
    return this.#position(this.#nearest(path)?.key[0] ?? 0).line;
  }

  #at(path: KeyPath, part: keyof Place, problem: ProblemText): ConfigProblem {
    const range = this.#nearest(path)?.[part];
    const where =
      range === undefined
        ? { line: 0, column: 0, length: 0 }
        : { ...this.#position(range[0]), length: range[1] - range[0] };
    return { path: path.join('.'), ...where, severity: 'error', ...problem };
  }

  #nearest(path: KeyPath): Place | undefined {
    for (let length = path.length; length > 0; length--) {
      const place = this.#places.get(keyOf(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return undefined;
  }

  #position(offset: number): { line: number; column: number } {
    // The last line that starts at the offset or before it; the first one starts at 0.
    let [line, beyond] = [0, this.#lineStarts.length];
    while (beyond - line > 1) {
      const middle = (line + beyond) >> 1;
      if (this.#lineStarts[middle]! <= offset) line = middle;
      else beyond = middle;
    }
    return { line: line + 1, column: offset - this.#lineStarts[line]! + 1 };
  }
}

export type ProblemText = Pick<ConfigProblem, 'message' | 'hint'> &
  Partial<Pick<ConfigProblem, 'severity'>>;

/** Reads TOML 1.0; a syntax error comes back as the one problem. */
export function readDocument(text: string): TomlDocument | ConfigProblem {
  try {
    // Some editors begin a file with a byte order mark, which TOML does not know; a blank keeps
    // every offset as it is.
    const source = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text;
    return new TomlDocument(text, parseTOML(source, { tomlVersion: '1.0.0' }));
  } catch (error) {
    // The parser has a place for every error of the text; anything else is a defect.
    if (error instanceof ParseError) return syntaxProblem(text, error.index, error.message);
    throw error;
  }
}

function placesOf(nodes: readonly (AST.TOMLTable | AST.TOMLKeyValue)[]): Map<string, Place> {
  const places = new Map<string, Place>();
  const note = (path: KeyPath, place: Place): void => {
    if (!places.has(keyOf(path))) places.set(keyOf(path), place);
  };
  const noteKey = (prefix: KeyPath, key: AST.TOMLKey, value: Range): KeyPath => {
    let path = prefix;
    for (const part of key.keys) {
      path = [...path, nameOf(part)];
      note(path, { key: part.range, value });
    }
    return path;
  };
  const walkValue = (path: KeyPath, node: AST.TOMLContentNode): void => {
    if (node.type === 'TOMLInlineTable') for (const pair of node.body) walkPair(path, pair);
    if (node.type !== 'TOMLArray') return;
    for (const [index, element] of node.elements.entries()) {
      note([...path, index], { key: element.range, value: element.range });
      walkValue([...path, index], element);
    }
  };
  const walkPair = (prefix: KeyPath, pair: AST.TOMLKeyValue): void => {
    walkValue(noteKey(prefix, pair.key, pair.value.range), pair.value);
  };
  for (const node of nodes) {
    if (node.type === 'TOMLKeyValue') {
      walkPair([], node);
      continue;
    }
    noteKey([], node.key, node.key.range);
    // Differs from the written key by the index of a table in an array of tables.
    note(node.resolvedKey, { key: node.key.keys.at(-1)!.range, value: node.key.range });
    for (const pair of node.body) walkPair(node.resolvedKey, pair);
  }
  return places;
}

/**
 * The value of a file. Not the parser's own `getStaticTOMLValue`, which lets a key such as
 * `__proto__` or `constructor.prototype` write into the prototype of every object.
 */
function valueOfTables(nodes: TomlDocument['tables']): Table {
  const root = emptyTable();
  for (const node of nodes) {
    if (node.type === 'TOMLKeyValue') putPair(root, node);
    else {
      const table = tableAt(root, node.resolvedKey);
      for (const pair of node.body) putPair(table, pair);
    }
  }
  return root;
}

function putPair(table: Table, pair: AST.TOMLKeyValue): void {
  const names = pair.key.keys.map(nameOf);
  tableAt(table, names.slice(0, -1))[names.at(-1)!] = valueOfNode(pair.value);
}

function valueOfNode(node: AST.TOMLContentNode): unknown {
  if (node.type === 'TOMLArray') return node.elements.map(valueOfNode);
  if (node.type === 'TOMLValue') return node.value;
  const table = emptyTable();
  for (const pair of node.body) putPair(table, pair);
  return table;
}

/** The table at a path; tables and arrays on the way are made. The parser has refused clashes. */
function tableAt(root: Table, path: KeyPath): Table {
  let at = root;
  for (const [index, part] of path.entries()) {
    at[part] ??= typeof path[index + 1] === 'number' ? [] : emptyTable();
    at = at[part] as Table;
  }
  return at;
}

function emptyTable(): Table {
  return Object.create(null) as Table;
}

function nameOf(key: AST.TOMLBare | AST.TOMLQuoted): string {
  return key.type === 'TOMLBare' ? key.name : key.value;
}

function keyOf(path: KeyPath): string {
  return JSON.stringify(path);
}

function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function syntaxProblem(text: string, index: number, parserMessage: string): ConfigProblem {
  // The parser stops where it understands that something is missing; people look where it should be.
  const end = text.slice(0, index).trimEnd();
  const noValue = end.endsWith('=') && text.slice(end.length, index).includes('\n');
  const message = noValue ? 'Unspecified values are invalid' : parserMessage;
  const missing = message.startsWith('Unspecified') || message.startsWith('Unterminated');
  const at = missing ? end.length : index;
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf('\n') + 1;
  const lineText = text.slice(lineStart).split('\n', 1)[0]!;
  return {
    path: '',
    line: before.split('\n').length,
    column: at - lineStart + 1,
    length: 1,
    severity: 'error',
    ...explainSyntax(message, lineText, at - lineStart),
  };
}

function explainSyntax(
  parserMessage: string,
  line: string,
  column: number,
): ProblemText & Partial<Pick<ConfigProblem, 'column' | 'length'>> {
  const value = /^[^=]*=\s*([^\s#"'[{][^#]*?)\s*(?:#.*)?$/.exec(line)?.[1];
  const inValue = value !== undefined && column >= line.indexOf('=');
  if (inValue && !value.includes('"')) {
    const at = line.indexOf(value, line.indexOf('=') + 1);
    return {
      column: at + 1,
      length: value.length,
      message: `syntax error: the value ${value} needs quotes`,
      hint: `write ${line.slice(0, line.indexOf('=')).trim()} = "${value}"`,
    };
  }
  switch (parserMessage) {
    case 'Unspecified values are invalid':
      return { message: 'syntax error: a value is missing here' };
    case 'Unterminated table-key':
      return { message: 'syntax error: the table name has no closing "]"' };
    case 'Unterminated string constant':
      return { message: 'syntax error: the string has no closing quote' };
    case 'Must be a newline':
      return { message: 'syntax error: unexpected text after the value; one key = value a line' };
    case 'Expected equal (=) token':
      return { message: 'syntax error: expected "=" after the key' };
    case 'Defining a key multiple times is invalid':
      return { message: 'this table or key is already defined above' };
    default:
      return { message: `syntax error: ${parserMessage.toLowerCase()}` };
  }
}
