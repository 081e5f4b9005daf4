"""Names, texts and reasons."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Unicode category Cc, and surrogates, which Python keeps apart only when they come alone.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_name(value: object) -> bool:
    """Whether it is 1 to 63 of a-z, 0-9 and ``-``, with no ``-`` at either end."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_text(value: object, units_max: int) -> bool:
    """Whether it is a text of at most so many UTF-16 code units."""
    if not isinstance(value, str) or _NOT_TEXT.search(value):
        return False
    return len(value.encode("utf-16-le")) // 2 <= units_max


def read_reason(payload: bytes) -> str:
    """A reason as received: U+FFFD for what is no UTF-8, a space for each control character."""
    return _CONTROL.sub(" ", payload.decode("utf-8", "replace"))


def write_reason(text: str, bytes_max: int) -> bytes:
    """One line of UTF-8, cut between two characters when it is too long."""
    line = _CONTROL.sub(" ", text).encode("utf-8", "replace")
    return line[:bytes_max].decode("utf-8", "ignore").encode()
