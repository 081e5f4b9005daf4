import { types } from 'node:util';
import { visibleText } from '@routy/proto/base';
import { invalidArgument, LinkError } from '../transport/link-error.ts';

/**
 * What programs give to the library is looked at where they give it: plain JavaScript has no compiler,
 * and what is wrong would otherwise fail later, somewhere else, or never. All throw a LinkError
 * `argument-invalid`, whose hint says what is wanted.
 */

/** Every key of `T`, so that the compiler sees when one is missing here. */
export type KeysOf<T> = Readonly<Record<keyof T, true>>;

/**
 * An object of which `keys` may be given; `name` is what it is called in errors. Objects of classes may
 * have more, as a protocol or behaviour with fields of its own.
 */
export function expectObject(name: string, given: unknown, keys: object): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw invalidArgument(name, `an object with ${listed(keys)}`, given);
  // It would have none of the keys, and so be taken and not heeded.
  if (given instanceof AbortSignal)
    throw invalidArgument(name, `an object with ${listed(keys)}, as { signal }`, given);
  if (!isPlain(given)) return;
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(keys, key));
  if (unknown === undefined) return;
  throw new LinkError('argument-invalid', `there is no ${name}.${visibleText(unknown)}`, {
    hint: `${name} has ${listed(keys)}`,
  });
}

/** As {@link expectObject}, where nothing may be given as well. */
export function expectOptions(name: string, given: unknown, keys: object): void {
  if (given !== undefined) expectObject(name, given, keys);
}

/** `{ signal }` and nothing else, or nothing. */
export function expectSignalOption(given: unknown): void {
  expectOptions('options', given, { signal: true });
  expectSignal((given as { readonly signal?: unknown } | undefined)?.signal);
}

/** An AbortSignal, or nothing. */
export function expectSignal(given: unknown, name = 'signal'): void {
  if (given === undefined || given instanceof AbortSignal) return;
  throw invalidArgument(name, 'an AbortSignal, as the signal of an AbortController', given);
}

/** A function, or nothing. */
export function expectFunction(name: string, given: unknown): void {
  if (given === undefined || typeof given === 'function') return;
  throw invalidArgument(name, 'a function', given);
}

/** True, false or nothing. */
export function expectBoolean(name: string, given: unknown): void {
  if (given === undefined || typeof given === 'boolean') return;
  throw invalidArgument(name, 'true or false', given);
}

/** Text of 1 to `charsMax` characters, or nothing. */
export function expectText(name: string, given: unknown, charsMax: number): void {
  if (given === undefined) return;
  if (typeof given === 'string' && given.length > 0 && given.length <= charsMax) return;
  throw invalidArgument(name, `text of 1 to ${charsMax} characters`, given);
}

/** Of a reason for people: one that is longer than a frame takes is cut there. */
export const REASON_CHARS_MAX = 64 * 1024;

/** A whole number from `min` to `max`, or nothing. */
export function expectInteger(name: string, given: unknown, min: number, max: number): void {
  if (given === undefined) return;
  if (Number.isInteger(given) && (given as number) >= min && (given as number) <= max) return;
  throw invalidArgument(name, `a whole number from ${min} to ${max}`, given);
}

/** Timers of Node fire at once for more, in ms: nearly 25 days. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

/** A time in ms that a timer can wait, or nothing. */
export function expectMs(name: string, given: unknown, min = 0): void {
  if (given === undefined) return;
  if (typeof given === 'number' && given >= min && given <= TIMER_MS_MAX) return;
  throw invalidArgument(name, `a number of ms from ${min} to ${TIMER_MS_MAX}`, given);
}

/** Bytes: a Buffer or another Uint8Array. */
export function expectBytes(name: string, given: unknown): void {
  if (types.isUint8Array(given)) return;
  throw invalidArgument(name, 'a Uint8Array, as Buffer.from(text) is one', given);
}

function isPlain(given: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(given);
  return prototype === Object.prototype || prototype === null;
}

function listed(keys: object): string {
  return Object.keys(keys).join(', ');
}
