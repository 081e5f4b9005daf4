import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { type SettingMeta, settings } from '../packages/routy/src/config/schema/fields.ts';
import { configSchema } from '../packages/routy/src/config/schema/schema.ts';
import { shapeOf } from '../packages/routy/src/config/schema/shape.ts';

/*
 * Writes what is generated from the schema of routy.toml: the tables of keys in
 * docs/CONFIGURATION.md and the JSON Schema for editors, docs/routy.schema.json.
 */

export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

const BEGIN = '<!-- keys: begin, written by `npm run docs:config` -->';
const END = '<!-- keys: end -->';

/** The files as they should be; the prose around the tables is taken from the file as it is. */
export function generatedFiles(): GeneratedFile[] {
  const reference = fileURLToPath(new URL('../docs/CONFIGURATION.md', import.meta.url));
  const schema = fileURLToPath(new URL('../docs/routy.schema.json', import.meta.url));
  return [
    { path: reference, text: withTables(readFileSync(reference, 'utf8')) },
    { path: schema, text: `${JSON.stringify(jsonSchema(), null, 2)}\n` },
  ];
}

function withTables(document: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`docs/CONFIGURATION.md lacks ${BEGIN} or ${END}`);
  const before = document.slice(0, begin + BEGIN.length);
  return `${before}\n\n${tables().join('\n\n')}\n\n${document.slice(end)}`;
}

interface Row {
  readonly key: string;
  readonly meta: SettingMeta;
  readonly list: boolean;
}

function tables(): string[] {
  return Object.entries(configSchema.shape).map(([table, schema]) => {
    const shape = shapeOf(schema);
    let heading = `[${table}]`;
    let inner = shape;
    if (shape.kind === 'list') {
      heading = `[[${table}]]`;
      inner = shapeOf(shape.element);
    } else if (shape.kind === 'named-tables') {
      heading = `[${table}.NAME]`;
      inner = shapeOf(shape.entry);
    }
    const keys = inner.kind === 'table' ? Object.entries(inner.keys) : [];
    const lines = keys.map(([key, value]) => rowText(rowOf(key, value), isOptional(value)));
    const head = ['| key | class | default | range | meaning |', '|---|---|---|---|---|'];
    return [`### \`${heading}\``, '', ...head, ...lines].join('\n');
  });
}

function rowOf(key: string, schema: z.core.$ZodType): Row {
  const shape = shapeOf(schema);
  const leaf = shape.kind === 'list' ? shapeOf(shape.element) : shape;
  if (leaf.kind !== 'value' || leaf.meta === undefined) throw new Error(`${key} is undocumented`);
  return { key, meta: leaf.meta, list: shape.kind === 'list' };
}

function rowText({ key, meta, list }: Row, optional: boolean): string {
  const value = meta.default ?? (optional ? 'none' : 'required');
  const range = meta.range ?? (list ? 'a list' : '');
  const cells = [`\`${key}\``, meta.class, code(value), range, meta.description];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function code(value: string): string {
  return value === 'none' || value === 'required' ? value : `\`${value}\``;
}

function isOptional(schema: z.core.$ZodType): boolean {
  return (schema as z.core.$ZodTypes)._zod.def.type === 'optional';
}

function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    metadata: z.registry<object>(),
    override: ({ zodSchema, jsonSchema: target }) => {
      const meta = settings.get(zodSchema);
      if (meta === undefined) return;
      const values = meta.range === undefined ? '' : ` ${meta.range}.`;
      target.description = `${meta.description}${values} (${meta.class})`;
      if (meta.pattern !== undefined) target.pattern = meta.pattern;
    },
  });
  return { ...schema, title: 'routy.toml', description: 'Configuration of one Routy node.' };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, text } of generatedFiles()) writeFileSync(path, text);
}
