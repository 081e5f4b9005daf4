/**
 * A line of the file, or a value, without the passwords that proxies are written with. Of the same
 * length, so that a place in it stays the same place.
 */
export function maskPasswords(text: string): string {
  return text.replace(VIA, starred).replace(USER_INFO, starred);
}

/** All of a `via`, which may be written so wrongly that no rule finds the password in it. */
const VIA = /(\bvia["']?\s*=\s*["']*(?:[a-z0-9+.-]*:\/\/)?)([^\n]*)/gi;
/** User and password of any URL, up to the last `@`. */
const USER_INFO = /([a-z0-9+.-]*:\/\/)([^\n]*)(?=@)/gi;

function starred(_: string, head: string, secret: string): string {
  return head + secret.replace(/[^"'\s]/g, '*');
}
