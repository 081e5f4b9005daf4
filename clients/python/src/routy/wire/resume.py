"""The records of RESUME (docs/PROTOCOL.md section 5)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .errors import ProtocolError, StreamCode, stream_code, stream_number, unknown_here
from .layout import FLAG, NUMBER_MAX, Frame, FrameType


@dataclass(frozen=True, slots=True)
class Opened:
    """First of a set: all ids of the receiver's up to `seen`, and the sender's highest id."""

    seen: int
    opened: int


@dataclass(frozen=True, slots=True)
class Dead:
    """A lane that the sender has lost."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Seen:
    """An id of the receiver's, above the first record's, that was seen."""

    id: int


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """How far the sender is with a stream."""

    id: int
    accepted: bool
    fin_received: bool
    fin_delivered: bool
    received: int
    delivered: int
    limit: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream that has ended: reset with this code, or cleanly (None)."""

    id: int
    code: StreamCode | None


Record = Opened | Dead | Seen | StreamRecord | Ended

_U64 = struct.Struct(">Q")
_PAIR = struct.Struct(">QQ")
_STREAM = struct.Struct(">BQQQQ")
_ENDED = struct.Struct(">QH")
_FIELDS = {1: _PAIR, 2: _U64, 3: _U64, 4: _STREAM, 5: _ENDED}

_CLEANLY = 0xFFFF
_STREAM_FLAGS = 0x07
# Less than a frame may carry: other frames must not wait long behind a large one.
_FRAME_BYTES = 65_536


def read_records(payload: bytes) -> Iterator[Record]:
    """Yields the records of one frame. Raises ProtocolError at what is none."""
    at = 0
    while at < len(payload):
        kind = payload[at]
        layout = _FIELDS.get(kind)
        if layout is None:
            raise unknown_here("resume", f"unknown kind of record {kind}")
        if at + 1 + layout.size > len(payload):
            raise ProtocolError("resume", f"a record of kind {kind} is cut")
        yield _read_record(kind, layout.unpack_from(payload, at + 1))
        at += 1 + layout.size


def _read_record(kind: int, fields: tuple[int, ...]) -> Record:
    if any(number > NUMBER_MAX for number in fields):
        raise ProtocolError("frame-payload", "RESUME with a number beyond 2^53-1")
    if kind == 1:
        return Opened(fields[0], fields[1])
    if kind == 2:
        return Dead(fields[0])
    if kind == 3:
        return Seen(fields[0])
    if kind == 5:
        return Ended(fields[0], None if fields[1] == _CLEANLY else stream_code(fields[1]))
    flags, id, received, delivered, limit = fields
    if flags & ~_STREAM_FLAGS:
        raise unknown_here("resume", f"a stream with unknown flags 0x{flags:02x}")
    return StreamRecord(
        id, bool(flags & 1), bool(flags & 2), bool(flags & 4), received, delivered, limit
    )


def write_record(record: Record) -> bytes:
    """The bytes of one record."""
    match record:
        case Opened(seen, opened):
            return b"\x01" + _PAIR.pack(seen, opened)
        case Dead(epoch):
            return b"\x02" + _U64.pack(epoch)
        case Seen(id):
            return b"\x03" + _U64.pack(id)
        case StreamRecord():
            flags = record.accepted | record.fin_received << 1 | record.fin_delivered << 2
            return b"\x04" + _STREAM.pack(
                flags, record.id, record.received, record.delivered, record.limit
            )
        case Ended(id, code):
            return b"\x05" + _ENDED.pack(id, _CLEANLY if code is None else stream_number(code))


def write_set(records: Iterable[Record]) -> list[Frame]:
    """The frames of one set; the last has the flag that says so."""
    payloads = [bytearray()]
    for record in records:
        data = write_record(record)
        if len(payloads[-1]) + len(data) > _FRAME_BYTES:
            payloads.append(bytearray())
        payloads[-1] += data
    last = len(payloads) - 1
    return [
        Frame(FrameType.RESUME, bytes(payload), flags=FLAG if index == last else 0)
        for index, payload in enumerate(payloads)
    ]
