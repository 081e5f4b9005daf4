import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const FENCE = /^```(\S*)(?: (\S+))?\n(.*?)^```$/gms;

/** A block of code of a document: ```` ```LANGUAGE NAME ````. */
export interface CodeBlock {
  readonly language: string;
  /** Empty where it has none. */
  readonly name: string;
  readonly text: string;
}

/** A document of the repository. */
export function documentText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The blocks of code of a document, in their order. */
export function codeBlocks(text: string): CodeBlock[] {
  return [...text.matchAll(FENCE)].map(([, language, name, block]) => ({
    language: language!,
    name: name ?? '',
    text: block!,
  }));
}
