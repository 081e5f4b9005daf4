import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { errorText, RoutyError } from '@routy/proto/base';

/** Mode of a file that was not there before: readable by the user a service manager runs Routy as. */
const NEW_FILE_MODE = 0o644;

/**
 * Writes a `routy.toml` so that a reader, or a crash at any moment, meets either the old or the new
 * text. Keeps mode and owner of an existing file, follows a symbolic link, makes the directory.
 * Throws RoutyError `config-unwritable`.
 */
export function writeConfigFile(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const before = statSync(path, { throwIfNoEntry: false });
    replaceFile(before === undefined ? path : realpathSync(path), text, before);
  } catch (error) {
    throw new RoutyError('config-unwritable', `cannot write ${path}: ${errorText(error)}`, {
      hint: 'run as the owner of the file, or correct owner and mode of its directory',
      cause: error,
    });
  }
}

function replaceFile(path: string, text: string, before: Stats | undefined): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const mode = before === undefined ? NEW_FILE_MODE : before.mode & 0o777;
  const file = openSync(temporary, 'wx', mode);
  try {
    try {
      // The mode given to open is cut down by the umask.
      if (before !== undefined) fchmodSync(file, mode);
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    keepOwner(temporary, before);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Only root may give files away, and only then can the owner be another than before. */
function keepOwner(path: string, before: Stats | undefined): void {
  const own = statSync(path);
  if (before === undefined || (own.uid === before.uid && own.gid === before.gid)) return;
  chownSync(path, before.uid, before.gid);
}
