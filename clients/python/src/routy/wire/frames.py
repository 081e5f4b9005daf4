"""Making frames, and reading the payloads that are not JSON."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .errors import (
    LaneCode,
    ProtocolError,
    StreamCode,
    lane_code,
    lane_number,
    stream_code,
    stream_number,
)
from .json_object import write_json
from .layout import FLAG, NUMBER_MAX, Frame, FrameType
from .messages import Accept, Hello, Open
from .text import read_reason, write_reason

_CLOSE_REASON_BYTES = 4_096 - 2
_RESET_REASON_BYTES = 1_024 - 2
_OFFERS_BYTES_MAX = 16_384


def hello(message: Hello) -> Frame:
    """HELLO."""
    return Frame(FrameType.HELLO, write_json(message.json()))


def close(code: LaneCode, reason: str) -> Frame:
    """CLOSE."""
    text = write_reason(reason, _CLOSE_REASON_BYTES)
    return Frame(FrameType.CLOSE, struct.pack(">H", lane_number(code)) + text)


def ping(sequence: int, clock_us: int) -> Frame:
    """PING."""
    return Frame(FrameType.PING, struct.pack(">Q", clock_us), offset=sequence)


def pong(sequence: int, ping_us: int, received_us: int, sent_us: int) -> Frame:
    """PONG."""
    payload = struct.pack(">QQQ", ping_us, received_us, sent_us)
    return Frame(FrameType.PONG, payload, offset=sequence)


def offers(number: int, names: Sequence[str], goes_on: bool) -> Frame:
    """One page of OFFERS."""
    return Frame(
        FrameType.OFFERS, write_json(list(names)), offset=number, flags=FLAG if goes_on else 0
    )


def offers_pages(number: int, names: Sequence[str]) -> list[Frame]:
    """A whole list of services, in as many pages as it needs."""
    pages: list[list[str]] = [[]]
    size = 2
    for name in names:
        if size + len(name) + 3 > _OFFERS_BYTES_MAX:
            pages.append([])
            size = 2
        pages[-1].append(name)
        size += len(name) + 3
    return [offers(number, page, page is not pages[-1]) for page in pages]


def goaway() -> Frame:
    """GOAWAY."""
    return Frame(FrameType.GOAWAY)


def open_stream(stream: int, credit: int, message: Open) -> Frame:
    """OPEN."""
    return Frame(FrameType.OPEN, write_json(message.json()), stream, credit)


def accept(stream: int, credit: int, message: Accept) -> Frame:
    """ACCEPT."""
    return Frame(FrameType.ACCEPT, write_json(message.json()), stream, credit)


def data(stream: int, offset: int, payload: bytes) -> Frame:
    """DATA."""
    return Frame(FrameType.DATA, payload, stream, offset)


def fin(stream: int, size: int) -> Frame:
    """FIN."""
    return Frame(FrameType.FIN, b"", stream, size)


def reset(stream: int, offset: int, code: StreamCode, reason: str) -> Frame:
    """RESET."""
    text = write_reason(reason, _RESET_REASON_BYTES)
    return Frame(FrameType.RESET, struct.pack(">H", stream_number(code)) + text, stream, offset)


def credit(stream: int, limit: int, delivered: int, fin_delivered: bool) -> Frame:
    """CREDIT."""
    payload = struct.pack(">Q", delivered)
    return Frame(FrameType.CREDIT, payload, stream, limit, FLAG if fin_delivered else 0)


def read_close(payload: bytes) -> tuple[LaneCode, str]:
    """Code and reason of CLOSE."""
    return lane_code(int.from_bytes(payload[:2], "big")), read_reason(payload[2:])


def read_reset(payload: bytes) -> tuple[StreamCode, str]:
    """Code and reason of RESET."""
    return stream_code(int.from_bytes(payload[:2], "big")), read_reason(payload[2:])


def read_numbers(payload: bytes) -> tuple[int, ...]:
    """The u64 of PING, PONG and CREDIT. Raises ProtocolError beyond 2^53-1."""
    numbers: tuple[int, ...] = struct.unpack(f">{len(payload) // 8}Q", payload)
    if any(number > NUMBER_MAX for number in numbers):
        raise ProtocolError("frame-payload", "a number beyond 2^53-1")
    return numbers
