import { visibleText } from '@routy/proto/base';
import { LinkError } from '../transport/link-error.ts';

/**
 * A destination that is no address: one kind and its value, as `{ cluster: 'north' }`. What has a transport
 * or an address is a candidate, and one that is written wrongly is no name.
 */
export type LogicalName = Readonly<Record<string, string | number>> & {
  readonly transport?: never;
  readonly address?: never;
};

/** A kind and a value are short: they are shown in errors and counted. */
const CHARS_MAX = 256;

/** @throws LinkError `locate-name-invalid` */
export function kindAndValue(name: LogicalName): readonly [kind: string, value: string | number] {
  const entries: [string, unknown][] =
    typeof name === 'object' && name !== null ? Object.entries(name) : [];
  const [entry] = entries;
  if (entries.length !== 1 || entry === undefined) {
    throw invalid('a logical name has one kind and its value');
  }
  const [kind, value] = entry;
  if (!isKind(kind)) throw invalid(`a kind has 1 to ${CHARS_MAX} characters`);
  if (typeof value === 'number' ? Number.isFinite(value) : isKind(value)) {
    return [kind, value as string | number];
  }
  throw invalid(
    `the value of ${visibleText(kind)} is neither a number nor text of 1 to ${CHARS_MAX} characters`,
  );
}

export function isKind(kind: unknown): kind is string {
  return typeof kind === 'string' && kind.length > 0 && kind.length <= CHARS_MAX;
}

/** For messages: `cluster north`. */
export function nameText(kind: string, value: string | number): string {
  return visibleText(`${kind} ${value}`);
}

function invalid(text: string): LinkError {
  return new LinkError('locate-name-invalid', text, {
    hint: "write it as { cluster: 'north' } or { keyspace: 12 }",
  });
}
