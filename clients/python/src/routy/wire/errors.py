"""What a peer may not send."""

from __future__ import annotations

from typing import Literal

ErrorCode = Literal[
    "frame-type",
    "frame-flags",
    "frame-reserved",
    "frame-length",
    "frame-stream",
    "frame-offset",
    "frame-payload",
    "frame-order",
    "stream-id",
    "stream-state",
    "credit-exceeded",
    "final-size",
    "reassembly",
    "resume",
]

#: Codes of CLOSE, docs/PROTOCOL.md section 3.
LaneCode = Literal[
    "normal",
    "shutdown",
    "protocol-error",
    "version-mismatch",
    "settings-mismatch",
    "identity-mismatch",
    "not-authorized",
    "stale-epoch",
    "taken-over",
    "heartbeat-timeout",
    "handshake-timeout",
    "overload",
    "lane-lost",
    "internal",
    "unknown-session",
    "lane-done",
    "resume-timeout",
]

#: Codes of RESET, docs/PROTOCOL.md section 4.
StreamCode = Literal[
    "cancelled",
    "target-refused",
    "target-timeout",
    "target-unreachable",
    "unknown-service",
    "not-allowed",
    "unsupported-protocol",
    "overload",
    "draining",
    "connection-reset",
    "session-lost",
    "internal",
    "resume-mismatch",
    "name-timeout",
    "name-unknown",
    "unsupported-version",
]

# In the order of their numbers.
_LANE_CODES: tuple[LaneCode, ...] = (
    "normal", "shutdown", "protocol-error", "version-mismatch", "settings-mismatch",
    "identity-mismatch", "not-authorized", "stale-epoch", "taken-over", "heartbeat-timeout",
    "handshake-timeout", "overload", "lane-lost", "internal", "unknown-session", "lane-done",
    "resume-timeout",
)  # fmt: skip
_STREAM_CODES: tuple[StreamCode, ...] = (
    "cancelled", "target-refused", "target-timeout", "target-unreachable", "unknown-service",
    "not-allowed", "unsupported-protocol", "overload", "draining", "connection-reset",
    "session-lost", "internal", "resume-mismatch", "name-timeout", "name-unknown",
    "unsupported-version",
)  # fmt: skip


def lane_code(number: int) -> LaneCode:
    """The name of a CLOSE's number; one that nobody knows is ``internal``."""
    return _LANE_CODES[number] if number < len(_LANE_CODES) else "internal"


def lane_number(code: LaneCode) -> int:
    """The number of a CLOSE's code."""
    return _LANE_CODES.index(code)


def stream_code(number: int) -> StreamCode:
    """The name of a RESET's number; one that nobody knows is ``internal``."""
    return _STREAM_CODES[number] if number < len(_STREAM_CODES) else "internal"


def stream_number(code: StreamCode) -> int:
    """The number of a RESET's code."""
    return _STREAM_CODES.index(code)


class ProtocolError(Exception):
    """The peer sent what it may not send. ``lane_code`` is what CLOSE answers."""

    def __init__(self, code: ErrorCode, message: str, answer: LaneCode = "protocol-error") -> None:
        super().__init__(f"{code}: {message}")
        self.code: ErrorCode = code
        self.lane_code: LaneCode = answer


def unknown_here(code: ErrorCode, message: str) -> ProtocolError:
    """Something that another version of the protocol may say, so no defect of the peer."""
    return ProtocolError(code, message, "version-mismatch")
