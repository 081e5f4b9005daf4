import { isName, RoutyError } from '@routy/proto/base';

/**
 * Returns `text` when it may name a fabric, site or node.
 *
 * @throws RoutyError `name-invalid`
 */
export function requireName(kind: 'fabric' | 'site' | 'node', text: string): string {
  if (isName(text)) return text;
  throw new RoutyError('name-invalid', `${JSON.stringify(text)} cannot be the name of a ${kind}`, {
    hint: "use 1 to 63 of the characters a-z, 0-9 and '-', neither beginning nor ending with '-'",
  });
}
