"""JSON as the protocol takes it: RFC 8259, no byte order mark, integers in any notation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .errors import ProtocolError
from .layout import NUMBER_MAX
from .text import is_name, is_text

T = TypeVar("T")

_MISSING = object()


def broken(message: str) -> ProtocolError:
    """The refusal of a payload that is not what the protocol says."""
    return ProtocolError("frame-payload", message)


def parse_json(payload: bytes) -> object:
    """The value of a JSON payload. Raises ProtocolError `frame-payload`."""
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=_no_constant)
    # RecursionError: nested deeper than any payload of this protocol.
    except (ValueError, RecursionError) as error:
        raise broken(f"no JSON: {error}") from None


def write_json(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _no_constant(name: str) -> NoReturn:
    # Python takes NaN and Infinity, JSON has neither.
    raise ValueError(f"{name} is no JSON")


class Members:
    """The members of a JSON object, each taken with a check. Unknown ones are ignored."""

    def __init__(self, what: str, value: object) -> None:
        if not isinstance(value, dict):
            raise broken(f"{what} is no object")
        self._what = what
        self._members: dict[str, Any] = value

    def has(self, name: str) -> bool:
        """Whether the member is there; one that is null is."""
        return name in self._members

    def take(self, name: str, check: Callable[[object], bool], what: str) -> Any:
        """The member's value. Raises ProtocolError when it is missing or fails the check."""
        value = self._members.get(name, _MISSING)
        if not check(value):
            raise broken(f"{self._what}: {name} is no {what}")
        return value

    def name(self, name: str) -> str:
        """A name."""
        return str(self.take(name, is_name, "name"))

    def text(self, name: str, units_max: int) -> str:
        """A text."""
        check = lambda value: is_text(value, units_max)  # noqa: E731
        return str(self.take(name, check, f"text of at most {units_max}"))

    def integer(self, name: str, low: int, high: int = NUMBER_MAX) -> int:
        """An integer of this range, however it is written."""
        value = self._members.get(name, _MISSING)
        return as_integer(f"{self._what}: {name}", value, low, high)

    def hex(self, name: str, digits: int) -> str:
        """So many lowercase hex digits."""
        pattern = re.compile(f"[0-9a-f]{{{digits}}}")
        check = lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))  # noqa: E731
        return str(self.take(name, check, f"{digits} hex digits"))

    def optional_hex(self, name: str, digits: int) -> str | None:
        """The same, or None when the member is not there."""
        return self.hex(name, digits) if self.has(name) else None

    def list(self, name: str, count_max: int, item: Callable[[str, object], T]) -> tuple[T, ...]:
        """An array of at most so many items."""
        check = lambda value: isinstance(value, list) and len(value) <= count_max  # noqa: E731
        values = self.take(name, check, f"array of at most {count_max}")
        return tuple(item(f"{self._what}: {name}", value) for value in values)

    def object(self, name: str) -> Members:
        """An object."""
        return Members(f"{self._what}: {name}", self._members.get(name, _MISSING))

    def texts(self, count_max: int, name_max: int, value_max: int) -> dict[str, str]:
        """The whole object, as texts by name."""
        if len(self._members) > count_max:
            raise broken(f"{self._what} has more than {count_max} members")
        for name, value in self._members.items():
            if not is_text(name, name_max) or not is_text(value, value_max):
                raise broken(f"{self._what}: {name!r} is no text of at most {value_max}")
        return dict(self._members)


def as_integer(what: str, value: object, low: int, high: int) -> int:
    """An integer of this range: `1.0` and `10e-1` are 1 (docs/PROTOCOL.md, Numbers)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise broken(f"{what} is no integer of {low} to {high}")
    return value
