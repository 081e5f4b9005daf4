import { dirname, join } from 'node:path';
import {
  type Class,
  type Comment,
  type Declaration,
  parseSync,
  type Program,
  type TSInterfaceDeclaration,
} from 'oxc-parser';

interface Parsed {
  readonly text: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
}

/** An export that people see: where it is declared, and by which name there. */
interface PublicExport {
  readonly path: string;
  readonly name: string;
}

type Members = Class | TSInterfaceDeclaration;
type Member = Members['body']['body'][number];

/** What is said of the public exports of a set of source files, by path. */
export class Docstrings {
  readonly #texts: ReadonlyMap<string, string>;
  readonly #parsed = new Map<string, Parsed>();

  constructor(texts: ReadonlyMap<string, string>) {
    this.#texts = texts;
  }

  /** What an entry exports out of other files of its package. */
  exportsOf(entry: string): PublicExport[] {
    return this.#parse(entry).program.body.flatMap((statement) => {
      if (statement.type !== 'ExportNamedDeclaration') return [];
      const from = statement.source?.value;
      if (from === undefined) return this.#declared(statement.declaration, entry);
      // What is of another package is an export of that one.
      if (!from.startsWith('.')) return [];
      const path = join(dirname(entry), from);
      return statement.specifiers.map(({ local }) => ({ path, name: nameOf(local) }));
    });
  }

  /** Whether the file begins with a docstring of its own, which names it as a module. */
  hasModuleText(entry: string, module: string): boolean {
    const [first] = this.#parse(entry).comments;
    return first?.value.endsWith(`@module ${module}\n `) ?? false;
  }

  /** Whether the declaration, or the first of its overloads, has a docstring right before it. */
  isDocumented({ path, name }: PublicExport): boolean {
    const parsed = this.#parse(path);
    const found = parsed.program.body.find(
      (statement) =>
        statement.type === 'ExportNamedDeclaration' &&
        this.#declared(statement.declaration, path).some((each) => each.name === name),
    );
    // What another file declares is documented there.
    return found === undefined ? parsed.text.includes(name) : hasDocstring(parsed, found.start);
  }

  /** The members that people see of a class or interface and about which nothing is said. */
  bareMembers({ path, name }: PublicExport): string[] {
    const parsed = this.#parse(path);
    const declaration = membersNamed(parsed.program, name);
    if (declaration === undefined) return [];
    const said = new Set(superNames(declaration).flatMap((each) => this.#saidOf(each)));
    return declaration.body.body
      .filter((member) => isPublic(member) && !hasDocstring(parsed, member.start))
      .map(memberName)
      .filter(
        (member, i, all) => member !== undefined && !said.has(member) && all.indexOf(member) === i,
      )
      .map((member) => `${name}.${member}`);
  }

  /** The members of an interface that have a docstring: who implements it need not repeat that. */
  #saidOf(name: string): string[] {
    for (const path of this.#texts.keys()) {
      if (!this.#texts.get(path)!.includes(`interface ${name}`)) continue;
      const parsed = this.#parse(path);
      const declaration = membersNamed(parsed.program, name);
      if (declaration === undefined) continue;
      const documented = declaration.body.body.filter(({ start }) => hasDocstring(parsed, start));
      return documented.map(memberName).filter((member) => member !== undefined);
    }
    return [];
  }

  #declared(declaration: Declaration | null, path: string): PublicExport[] {
    if (declaration === null) return [];
    if (declaration.type === 'VariableDeclaration')
      return declaration.declarations.flatMap(({ id }) =>
        id.type === 'Identifier' ? [{ path, name: id.name }] : [],
      );
    const id = 'id' in declaration ? declaration.id : null;
    return id?.type === 'Identifier' ? [{ path, name: id.name }] : [];
  }

  #parse(path: string): Parsed {
    const known = this.#parsed.get(path);
    if (known !== undefined) return known;
    const text = this.#texts.get(path);
    if (text === undefined) throw new Error(`there is no ${path}`);
    const { program, comments, errors } = parseSync(path, text);
    if (errors.length > 0) throw new Error(`${path}: ${errors[0]!.message}`);
    const parsed = { text, program, comments };
    this.#parsed.set(path, parsed);
    return parsed;
  }
}

/** Nothing but blanks stands between the docstring and what it is about. */
function hasDocstring({ text, comments }: Parsed, start: number): boolean {
  const last = comments.findLast(({ end }) => end <= start);
  return (
    last?.type === 'Block' &&
    last.value.startsWith('*') &&
    text.slice(last.end, start).trim() === ''
  );
}

function membersNamed(program: Program, name: string): Members | undefined {
  for (const statement of program.body) {
    if (statement.type !== 'ExportNamedDeclaration') continue;
    const { declaration } = statement;
    const isOne =
      declaration?.type === 'ClassDeclaration' || declaration?.type === 'TSInterfaceDeclaration';
    if (isOne && declaration.id?.name === name) return declaration;
  }
  return undefined;
}

function superNames(declaration: Members): string[] {
  const listed =
    declaration.type === 'TSInterfaceDeclaration' ? declaration.extends : declaration.implements;
  return (listed ?? []).flatMap(({ expression }) =>
    expression.type === 'Identifier' ? [expression.name] : [],
  );
}

/** Constructors say themselves by the types of what they take. */
function isPublic(member: Member): boolean {
  if ('accessibility' in member && member.accessibility === 'private') return false;
  if ('override' in member && member.override) return false;
  return !('kind' in member && member.kind === 'constructor');
}

/** Undefined: it has no name that people could use. */
function memberName(member: Member): string | undefined {
  if (!('key' in member) || member.key === null) return undefined;
  return member.key.type === 'Identifier' ? member.key.name : undefined;
}

function nameOf(node: {
  readonly type: string;
  readonly name?: string;
  readonly value?: string;
}): string {
  return node.name ?? node.value!;
}
