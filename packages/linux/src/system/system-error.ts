import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';

// What calls answer when they fail, negative as in the kernel.
export const EAGAIN = -constants.errno.EAGAIN;
export const EINPROGRESS = -constants.errno.EINPROGRESS;
export const ETIMEDOUT = -constants.errno.ETIMEDOUT;
export const EPIPE = -constants.errno.EPIPE;

/** The name of what a call answered, `ECONNREFUSED` say. */
export function errorName(result: number): string {
  return getSystemErrorName(result);
}

/** The failure of a call in the shape that Node gives its own, so that whoever explains those explains it. */
export function systemError(call: string, result: number, where = ''): NodeJS.ErrnoException {
  const code = errorName(result);
  const text = where === '' ? `${call} ${code}` : `${call} ${code} ${where}`;
  return Object.assign(new Error(text), { code, errno: result, syscall: call });
}
