/**
 * Characters that are not seen as what they are: controls, line and paragraph separators, those that
 * turn the direction of what follows, invisible ones, and halves of a surrogate pair.
 */
const UNSEEN =
  /[\p{Cc}\p{Zl}\p{Zp}\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu;

/**
 * The text as it may be shown to people whoever wrote it: what could break a line, hide or turn
 * another part of the text, or steer a terminal stands as `\u{202e}`.
 */
export function visibleText(text: string): string {
  return text.replace(UNSEEN, escaped);
}

/** {@link visibleText} of a text of several lines, which stay. */
export function visibleLines(text: string): string {
  return text.replace(UNSEEN, (char) => (char === '\n' || char === '\t' ? char : escaped(char)));
}

function escaped(char: string): string {
  return `\\u{${char.codePointAt(0)!.toString(16)}}`;
}
