"""Header and limits of every frame (docs/PROTOCOL.md section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from .errors import ProtocolError, unknown_here

#: Offsets, ids, epochs and clocks are at most this.
NUMBER_MAX = 2**53 - 1
HEADER_BYTES = 24
DATA_BYTES_MAX = 262_144

#: CREDIT: the peer's FIN was passed on. RESUME: last frame of its set. OFFERS: the list goes on.
FLAG = 0x01

_HEADER = struct.Struct(">BBHIQQ")


class FrameType(IntEnum):
    """The types of version 1; those that are reserved are refused."""

    HELLO = 0x01
    CLOSE = 0x02
    PING = 0x03
    PONG = 0x04
    OFFERS = 0x05
    GOAWAY = 0x06
    OPEN = 0x10
    ACCEPT = 0x11
    DATA = 0x12
    FIN = 0x13
    RESET = 0x14
    CREDIT = 0x15
    RESUME = 0x21


class _Rule(NamedTuple):
    flags: int
    bytes_min: int
    bytes_max: int
    of_stream: bool


_RULES = {
    FrameType.HELLO: _Rule(0, 2, 16_384, False),
    FrameType.CLOSE: _Rule(0, 2, 4_096, False),
    FrameType.PING: _Rule(0, 8, 8, False),
    FrameType.PONG: _Rule(0, 24, 24, False),
    FrameType.OFFERS: _Rule(FLAG, 2, 16_384, False),
    FrameType.GOAWAY: _Rule(0, 0, 0, False),
    FrameType.OPEN: _Rule(0, 2, 4_096, True),
    FrameType.ACCEPT: _Rule(0, 2, 4_096, True),
    FrameType.DATA: _Rule(0, 1, DATA_BYTES_MAX, True),
    FrameType.FIN: _Rule(0, 0, 0, True),
    FrameType.RESET: _Rule(0, 2, 1_024, True),
    FrameType.CREDIT: _Rule(FLAG, 8, 8, True),
    FrameType.RESUME: _Rule(FLAG, 0, 262_144, False),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it is on the wire; what the offset means depends on the type."""

    type: FrameType
    payload: bytes = b""
    stream: int = 0
    offset: int = 0
    flags: int = 0

    def encode(self) -> bytes:
        """The frame's bytes, header and payload."""
        header = _HEADER.pack(self.type, self.flags, 0, len(self.payload), self.stream, self.offset)
        return header + self.payload


@dataclass(frozen=True, slots=True)
class Header:
    """A header that may begin a frame."""

    type: FrameType
    flags: int
    length: int
    stream: int
    offset: int


def read_header(data: bytes | bytearray, at: int = 0) -> Header:
    """Judges 24 bytes in the order of the table in section 2. Raises ProtocolError."""
    number, flags, reserved, length, stream, offset = _HEADER.unpack_from(data, at)
    try:
        kind = FrameType(number)
    except ValueError:
        raise unknown_here("frame-type", f"unknown type 0x{number:02x}") from None
    rule = _RULES[kind]
    if flags & ~rule.flags:
        raise unknown_here("frame-flags", f"{kind.name} with flags 0x{flags:02x}")
    if reserved:
        raise unknown_here("frame-reserved", f"{kind.name} with reserved bits 0x{reserved:04x}")
    if not rule.bytes_min <= length <= rule.bytes_max:
        raise ProtocolError("frame-length", f"{kind.name} of {length} bytes")
    if stream > NUMBER_MAX or (stream > 0) is not rule.of_stream:
        raise ProtocolError("frame-stream", f"{kind.name} of stream {stream}")
    if offset + length > NUMBER_MAX:
        raise ProtocolError("frame-offset", f"{kind.name} of {length} bytes at {offset}")
    return Header(kind, flags, length, stream, offset)
