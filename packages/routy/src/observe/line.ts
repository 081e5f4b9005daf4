import { visibleText } from '@routy/proto/base';
import { redactFields, redactText } from './redact.ts';

/** UTF-16 code units of a message, and of each text beside it. */
const MESSAGE_MAX = 1024;
const TEXT_MAX = 512;
const ITEMS_MAX = 32;
const DEPTH_MAX = 3;
/** Of all fields together as JSON. With the message, a line is within 4 KiB. */
const FIELDS_MAX = 2500;
/** Looked at for secrets; nothing longer is shown. */
const REDACT_MAX = 4 * MESSAGE_MAX;

/** One line for people: without secrets, bounded, with every character seen as what it is. */
export function lineText(text: string, max = MESSAGE_MAX): string {
  const clean = visibleText(redactText(text.slice(0, REDACT_MAX)));
  return clean.length <= max ? clean : `${clean.slice(0, max - 1)}…`;
}

/** The fields beside it, the same way; when they are too many the largest are left out. */
export function lineFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const bounded = redactFields(boundedFields(fields, 0));
  const sizes = Object.entries(bounded).map(([name, value]) => {
    return { name, size: name.length + (JSON.stringify(value)?.length ?? 0) + 4 };
  });
  let size = sizes.reduce((sum, field) => sum + field.size, 0);
  if (size <= FIELDS_MAX) return bounded;
  const leftOut: string[] = [];
  for (const field of sizes.sort((a, b) => b.size - a.size)) {
    if (size <= FIELDS_MAX) break;
    delete bounded[field.name];
    size -= field.size;
    leftOut.push(field.name);
  }
  return { ...bounded, leftOut: lineText(leftOut.join(', '), TEXT_MAX) };
}

function boundedFields(fields: object, depth: number): Record<string, unknown> {
  const entries = Object.entries(fields).slice(0, ITEMS_MAX);
  return Object.fromEntries(
    entries.map(([name, value]) => [lineText(name, TEXT_MAX), bounded(value, depth)]),
  );
}

function bounded(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return lineText(value, TEXT_MAX);
  if (value instanceof Error) return lineText(value.message, TEXT_MAX);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= DEPTH_MAX) return '…';
  if (!Array.isArray(value)) return boundedFields(value, depth + 1);
  const items = value.slice(0, ITEMS_MAX).map((item) => bounded(item, depth + 1));
  return value.length <= ITEMS_MAX ? items : [...items, `${value.length - ITEMS_MAX} more`];
}
