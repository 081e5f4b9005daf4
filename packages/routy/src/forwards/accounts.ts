import { readFileSync } from 'node:fs';

/** `chown` leaves as it is what is given as -1. */
const UNCHANGED = -1;

/** Number of a user, given by name or number. @throws an error with code `ENOACCOUNT` */
export function userId(nameOrNumber: string | undefined): number {
  return idOf('/etc/passwd', 'user', nameOrNumber);
}

/** Number of a group, given by name or number. @throws an error with code `ENOACCOUNT` */
export function groupId(nameOrNumber: string | undefined): number {
  return idOf('/etc/group', 'group', nameOrNumber);
}

/** Both files have name, password and number at the beginning of a line, passwd(5) and group(5). */
function idOf(file: string, kind: string, wanted: string | undefined): number {
  if (wanted === undefined) return UNCHANGED;
  if (/^\d+$/.test(wanted)) return Number(wanted);
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${wanted}:`));
  const id = Number(line?.split(':')[2]);
  if (Number.isInteger(id)) return id;
  throw Object.assign(new Error(`there is no ${kind} "${wanted}" in ${file}`), {
    code: 'ENOACCOUNT',
  });
}
