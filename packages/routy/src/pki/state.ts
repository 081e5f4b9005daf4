import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  access,
  chmod,
  type FileHandle,
  mkdir,
  open,
  rename,
  stat,
  unlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorText, RoutyError } from '@routy/proto/base';

export const PRIVATE_FILE_MODE = 0o600;
export const PUBLIC_FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o700;
const OTHERS_MASK = 0o077;
const OTHERS_WRITE_MASK = 0o022;

/** Where everything stands in a state directory. */
export interface StatePaths {
  readonly nodeKey: string;
  /** The key of a certificate that is being asked for; becomes `node.key` when it has come. */
  readonly nextKey: string;
  /** The node's certificate followed by the CA's. */
  readonly nodeCert: string;
  readonly caCert: string;
  /** Only on the CA's node, as are the two below. */
  readonly caKey: string;
  readonly journal: string;
  readonly invites: string;
}

export function statePaths(stateDir: string): StatePaths {
  return {
    nodeKey: join(stateDir, 'node.key'),
    nextKey: join(stateDir, 'node.key.new'),
    nodeCert: join(stateDir, 'node.crt'),
    caCert: join(stateDir, 'ca.crt'),
    caKey: join(stateDir, 'ca.key'),
    journal: join(stateDir, 'ca', 'issued.jsonl'),
    invites: join(stateDir, 'invites'),
  };
}

/**
 * Makes the directory (0700) with its parents when it is missing.
 *
 * @throws RoutyError `state-unwritable`; `state-writable-by-others` when group or others may write
 *   to it and so could put their own CA there
 */
export async function ensureDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    throw fileError(error, `cannot make the directory ${path}`, 'state-unwritable');
  }
  const { mode } = await stat(path);
  if ((mode & OTHERS_WRITE_MASK) === 0) return;
  throw new RoutyError(
    'state-writable-by-others',
    `the state directory ${path} can be written by others (mode ${octal(mode)})`,
    { hint: `run: chmod 700 ${shellWord(path)}` },
  );
}

export async function fileExists(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}

/** What to say when a file is not there. */
export interface MissingFile {
  readonly message: string;
  readonly hint: string;
}

/**
 * Reads a text file.
 *
 * @throws RoutyError `state-missing` with the given words; `state-unreadable`
 */
export async function readStateFile(path: string, missing: MissingFile): Promise<string> {
  return readWith(path, missing, async (file) => file.readFile('utf8'));
}

/**
 * Reads a private key. The mode is judged on the opened file, so that it cannot change in between.
 *
 * @throws RoutyError `key-readable-by-others`, and those of {@link readStateFile}
 */
export async function readPrivateFile(path: string, missing: MissingFile): Promise<string> {
  return readWith(path, missing, async (file) => {
    const { mode } = await file.stat();
    if ((mode & OTHERS_MASK) !== 0) {
      throw new RoutyError(
        'key-readable-by-others',
        `the private file ${path} is open to others (mode ${octal(mode)})`,
        { hint: `run: chmod 600 ${shellWord(path)}` },
      );
    }
    return file.readFile('utf8');
  });
}

/**
 * Replaces a file in one step: whoever reads sees the old content or the new, never a part, and a
 * crash leaves one of the two.
 *
 * @throws RoutyError `state-unwritable`
 */
export async function writeFileAtomic(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      if (process.geteuid?.() === 0) await giveToOwner(file, dirname(path));
      await file.sync();
    } finally {
      await file.close();
    }
    // The process umask may have taken bits away from a public file.
    await chmod(temporary, mode);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileError(error, `cannot write ${path}`, 'state-unwritable');
  }
}

/** What root writes into the directory of the user that runs the node has to be readable for it. */
async function giveToOwner(file: FileHandle, directory: string): Promise<void> {
  const { uid, gid } = await stat(directory);
  await file.chown(uid, gid);
}

/** Makes a rename or a new name in the directory survive a power failure. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The `code` of an operating system error (`ENOENT`), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

async function readWith(
  path: string,
  missing: MissingFile,
  read: (file: FileHandle) => Promise<string>,
): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') {
      throw new RoutyError('state-missing', missing.message, { hint: missing.hint, cause: error });
    }
    throw fileError(error, `cannot read ${path}`, 'state-unreadable');
  }
  try {
    return await read(file);
  } finally {
    await file.close();
  }
}

/** Gives a failed file operation words and the advice its cause deserves. */
export function fileError(error: unknown, what: string, code: string): RoutyError {
  if (error instanceof RoutyError) return error;
  const hint = FILE_ERROR_HINTS[systemErrorCode(error) ?? ''];
  return new RoutyError(code, `${what}: ${errorText(error)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

const PERMISSION_HINT =
  'run it as the user that owns the state directory (or with sudo), or name another one with --state';

const FILE_ERROR_HINTS: Readonly<Record<string, string>> = {
  EACCES: PERMISSION_HINT,
  EPERM: PERMISSION_HINT,
  EROFS: 'the file system is read-only: name another directory with --state',
  ENOSPC: 'the disk is full: free some space and try again',
  ENOTDIR: 'a part of the path is a file, not a directory: name another one with --state',
};

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

function shellWord(text: string): string {
  return /^[\w./@%+:,=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
