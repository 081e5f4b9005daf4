import { readFile } from 'node:fs/promises';
import { errorText, RoutyError } from '@routy/proto/base';
import { usageError } from './output.ts';

/**
 * The text of a file, of standard input for `-`.
 *
 * @throws RoutyError `file-unreadable`
 */
export async function readInput(file: string): Promise<string> {
  try {
    return file === '-' ? await readStandardInput() : await readFile(file, 'utf8');
  } catch (error) {
    throw new RoutyError('file-unreadable', `cannot read ${file}: ${errorText(error)}`, {
      hint: 'name an existing file, or - for standard input',
      cause: error,
    });
  }
}

/**
 * An argument that holds a secret: with `-` it comes from standard input, so that it stands neither
 * in the list of processes nor in the history of the shell.
 *
 * @throws RoutyError `usage` when nothing came
 */
export async function secretArgument(given: string): Promise<string> {
  if (given !== '-') return given;
  const line = (await readInput('-')).trim().split('\n')[0]!.trim();
  if (line !== '') return line;
  throw usageError('there was nothing on standard input', 'paste or pipe the line, then Ctrl-D');
}

async function readStandardInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text;
}
