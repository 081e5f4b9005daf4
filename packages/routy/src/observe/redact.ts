const CENSOR = '[redacted]';

/** Names of fields whose value is a secret, whatever it looks like. */
const SECRET_NAME = /secret|password|passphrase|token|authorization|^key$|keypem$|private/i;

const SECRET_TEXT: readonly { pattern: RegExp; replacement: string }[] = [
  {
    pattern: /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?(-----END \1PRIVATE KEY-----|$)/g,
    replacement: CENSOR,
  },
  { pattern: /routy-join-1:[^\s'"]+/g, replacement: `routy-join-1:${CENSOR}` },
  // A scheme of bounded length: a peer's long word must not be looked at from every letter of it on.
  { pattern: /([a-z][a-z0-9+.-]{0,31}:\/\/)[^\s/@]+@/gi, replacement: `$1${CENSOR}@` },
];

/** A text without private keys, join lines and passwords in URLs. */
export function redactText(text: string): string {
  let clean = text;
  for (const { pattern, replacement } of SECRET_TEXT) clean = clean.replace(pattern, replacement);
  return clean;
}

/** The fields of a log line without secrets: by name, and by content for texts. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    clean[name] = SECRET_NAME.test(name) ? CENSOR : redactValue(value);
  }
  return clean;
}

function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (value instanceof Error) return redactText(value.message);
  if (Array.isArray(value)) return value.map(redactValue);
  if (typeof value === 'object' && value !== null) {
    return redactFields(value as Record<string, unknown>);
  }
  return value;
}
