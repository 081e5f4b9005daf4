// TextEncoder and TextDecoder are in every JavaScript runtime, so using them keeps this folder
// free of any one platform; the compiler only has to be told that they exist.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (
  label: 'utf-8',
  options: { fatal: boolean; ignoreBOM?: boolean },
) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
// `ignoreBOM` leaves a byte order mark where it is instead of dropping it without a word.
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

export function utf8Encode(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Throws a TypeError when the bytes are not UTF-8. A byte order mark stays in the text. */
export function utf8Decode(bytes: Uint8Array): string {
  return strict.decode(bytes);
}

/** Text for people: what is not UTF-8 becomes U+FFFD, control characters become spaces. */
export function utf8DecodeForLog(bytes: Uint8Array): string {
  return withoutControls(lenient.decode(bytes));
}

/** The text with spaces in place of its control characters, line breaks among them. */
export function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}

/** UTF-8 of at most `bytesMax` bytes, never cut inside a character. */
export function truncateUtf8(text: string, bytesMax: number): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  // A continuation byte is 10xxxxxx (RFC 3629 section 3): step back to the start of its character.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
