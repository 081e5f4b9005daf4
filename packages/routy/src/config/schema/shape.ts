import type * as z from 'zod';
import type { KeyPath } from '../toml/document.ts';
import { type SettingMeta, settings } from './fields.ts';
import { configSchema } from './schema.ts';

/** What the schema says stands at a path. */
export type Shape =
  | { readonly kind: 'table'; readonly keys: Readonly<Record<string, z.core.$ZodType>> }
  /** Tables by a name of the user's choice: `[service.NAME]`. */
  | { readonly kind: 'named-tables'; readonly entry: z.core.$ZodType }
  | { readonly kind: 'list'; readonly element: z.core.$ZodType }
  | { readonly kind: 'value'; readonly meta: SettingMeta | undefined };

/** The shape at a path, or undefined when the schema knows no such key. */
export function shapeAt(path: KeyPath): Shape | undefined {
  let schema: z.core.$ZodType | undefined = configSchema;
  for (const part of path) {
    const shape: Shape | undefined = schema && shapeOf(schema);
    if (shape?.kind === 'table') schema = shape.keys[String(part)];
    else if (shape?.kind === 'named-tables') schema = shape.entry;
    else if (shape?.kind === 'list') schema = shape.element;
    else return undefined;
  }
  return schema && shapeOf(schema);
}

/** The shape of a schema, looking through defaults and optionality. */
export function shapeOf(schema: z.core.$ZodType): Shape {
  const meta = settings.get(schema);
  if (meta !== undefined) return { kind: 'value', meta };
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'object':
      return { kind: 'table', keys: def.shape };
    case 'record':
      return { kind: 'named-tables', entry: def.valueType };
    case 'array':
      return { kind: 'list', element: def.element };
    case 'optional':
    case 'default':
    case 'prefault':
      return shapeOf(def.innerType);
    default:
      return { kind: 'value', meta: undefined };
  }
}

/** A table as written: `[service.postgres]`, `[[forward]]`, `the top level`. */
export function tableName(path: KeyPath): string {
  if (path.length === 0) return 'the top level';
  const names = path.filter((part) => typeof part === 'string').join('.');
  return typeof path.at(-1) === 'number' ? `[[${names}]]` : `[${names}]`;
}

/** Every path of a table with fixed keys that has this key, for "belongs in [node]". */
export function tablesWithKey(key: string): string[] {
  const found: string[] = [];
  for (const [table, schema] of Object.entries(configSchema.shape)) {
    let shape = shapeOf(schema);
    let written = `[${table}]`;
    if (shape.kind === 'list') {
      shape = shapeOf(shape.element);
      written = `[[${table}]]`;
    } else if (shape.kind === 'named-tables') {
      shape = shapeOf(shape.entry);
      written = `[${table}.NAME]`;
    }
    if (shape.kind === 'table' && Object.hasOwn(shape.keys, key)) found.push(written);
  }
  return found;
}
