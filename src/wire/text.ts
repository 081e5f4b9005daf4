// TextEncoder and TextDecoder are in every JavaScript runtime, so using them keeps this folder
// free of any one platform; the compiler only has to be told that they exist.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (
  label: 'utf-8',
  options: { fatal: boolean },
) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true });
const lenient = new TextDecoder('utf-8', { fatal: false });

export function utf8Encode(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Throws a TypeError when the bytes are not UTF-8. */
export function utf8Decode(bytes: Uint8Array): string {
  return strict.decode(bytes);
}

/** Text for people: what is not UTF-8 becomes U+FFFD, control characters become spaces. */
export function utf8DecodeForLog(bytes: Uint8Array): string {
  return lenient.decode(bytes).replace(/\p{Cc}/gu, ' ');
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
