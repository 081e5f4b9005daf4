/**
 * Prints how long the functions and files of the packages are: `node --import tsx scripts/code-lengths.ts`.
 *
 * Lines from the first to the last of each, those of functions inside included. It judges nothing;
 * `test/arch` has the limits.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Lengths {
  readonly files: number[];
  readonly functions: number[];
}

const names = readdirSync(join(root, 'packages'));
const all: Lengths = { files: [], functions: [] };
for (const name of names) {
  const lengths = lengthsOf(name);
  print(name, lengths);
  all.files.push(...lengths.files);
  all.functions.push(...lengths.functions);
}
if (all.functions.length === 0) throw new Error('no function was found');
print('all', all);

function lengthsOf(name: string): Lengths {
  const src = join(root, 'packages', name, 'src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(src, path), 'utf8'));
  return { files: files.map(linesOf), functions: files.flatMap(functionLengths) };
}

function linesOf(text: string): number {
  return text.split('\n').length - 1;
}

function functionLengths(text: string): number[] {
  const { program, errors } = parseSync('file.ts', text);
  if (errors.length > 0) throw new Error(errors[0]!.message);
  const found: number[] = [];
  const measure = ({ start, end }: { start: number; end: number }): void => {
    found.push(linesOf(text.slice(start, end)) + 1);
  };
  new Visitor({
    FunctionDeclaration: measure,
    FunctionExpression: measure,
    ArrowFunctionExpression: ({ body, start, end }) => {
      // A mere expression, like a predicate, is a part of the line it stands in.
      if (body.type === 'BlockStatement') measure({ start, end });
    },
  }).visit(program);
  return found;
}

function print(name: string, { files, functions }: Lengths): void {
  const text = `${name}: ${figures(functions)} lines a function of ${functions.length}, `;
  console.log(`${text}${figures(files)} lines a file of ${files.length}`);
}

/** Median, 90th percentile and longest. */
function figures(lengths: readonly number[]): string {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.ceil(part * sorted.length) - 1];
  return `median ${at(0.5)}, p90 ${at(0.9)}, longest ${at(1)}`;
}
