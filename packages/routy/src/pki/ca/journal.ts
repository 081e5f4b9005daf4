import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  ensureDirectory,
  fileError,
  fileExists,
  PRIVATE_FILE_MODE,
  readStateFile,
  statePaths,
} from '../state.ts';

/** One certificate that the CA signed. Times are ISO 8601. */
export interface JournalEntry {
  readonly at: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly site: string;
  readonly node: string;
  readonly keyPin: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** The operator asked that this key take the name over from another. */
  readonly replace: boolean;
}

/**
 * Every certificate signed so far, oldest first.
 *
 * A line that cannot be read was cut off by a crash before its certificate was handed out, so
 * leaving it out forgets nothing.
 */
export async function readJournal(stateDir: string): Promise<JournalEntry[]> {
  const { journal } = statePaths(stateDir);
  if (!(await fileExists(journal))) return [];
  const text = await readStateFile(journal, {
    message: `there is no journal ${journal}`,
    hint: "run this on the CA's node",
  });
  return text.split('\n').flatMap((line) => parseEntry(line));
}

/** Appends an entry and returns when it is on the disk. */
export async function appendJournal(stateDir: string, entry: JournalEntry): Promise<void> {
  const { journal } = statePaths(stateDir);
  await ensureDirectory(dirname(journal));
  try {
    const file = await open(journal, 'a', PRIVATE_FILE_MODE);
    try {
      // The newline in front ends a line that a crash cut off.
      await file.appendFile(`\n${JSON.stringify(entry)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError(error, `cannot write ${journal}`, 'state-unwritable');
  }
}

/**
 * The entries that stand. A name belongs to the first key that got it until an entry with `replace`
 * gives it to another; an entry that contradicts this lost a race and its certificate was never
 * handed out.
 */
export function standingEntries(entries: readonly JournalEntry[]): JournalEntry[] {
  const holders = new Map<string, string>();
  return entries.filter((entry) => {
    const name = `${entry.site}/${entry.node}`;
    const holder = holders.get(name);
    if (holder !== undefined && holder !== entry.keyPin && !entry.replace) return false;
    holders.set(name, entry.keyPin);
    return true;
  });
}

/** The standing entry that last got the name, or undefined. */
export function nameHolder(
  entries: readonly JournalEntry[],
  site: string,
  node: string,
): JournalEntry | undefined {
  return standingEntries(entries).findLast((entry) => entry.site === site && entry.node === node);
}

const TEXT_FIELDS = ['at', 'serial', 'site', 'node', 'keyPin', 'notBefore', 'notAfter'] as const;

function parseEntry(line: string): JournalEntry[] {
  if (line.trim() === '') return [];
  let value: Partial<Record<keyof JournalEntry, unknown>> | null;
  try {
    value = JSON.parse(line);
  } catch {
    return [];
  }
  if (value === null || typeof value !== 'object') return [];
  const complete = TEXT_FIELDS.every((field) => typeof value[field] === 'string');
  return complete && typeof value.replace === 'boolean' ? [value as JournalEntry] : [];
}
