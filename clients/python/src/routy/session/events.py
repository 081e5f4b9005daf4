"""What a session tells its owner, in the order in which it happened."""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.errors import LaneCode, StreamCode
from ..wire.messages import Accept, Open


@dataclass(frozen=True)
class LaneUp:
    """A lane is established."""

    lane: int


@dataclass(frozen=True)
class LaneClosed:
    """A lane is over. What `transmit` still has for it is to be sent, unless it is cut."""

    lane: int
    code: LaneCode
    reason: str
    cut: bool


@dataclass(frozen=True)
class SessionEnded:
    """The session is over, and all its streams with it. The last event."""

    code: LaneCode
    reason: str


@dataclass(frozen=True)
class Offers:
    """The complete list of services that may be opened at the peer."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class GoingAway:
    """The peer takes no new streams."""


@dataclass(frozen=True)
class Incoming:
    """The peer opened a stream; it is to be accepted or reset."""

    stream: int
    request: Open


@dataclass(frozen=True)
class Accepted:
    """The peer accepted a stream of ours."""

    stream: int
    answer: Accept


@dataclass(frozen=True)
class Data:
    """Bytes of a stream, in order. `delivered` is to be called when they were passed on."""

    stream: int
    data: bytes


@dataclass(frozen=True)
class HalfClosed:
    """All bytes of the peer were told. `fin_delivered` is to be called when that was passed on."""

    stream: int


@dataclass(frozen=True)
class Acknowledged:
    """The peer has passed on more of what was written: there is room for more."""

    stream: int


@dataclass(frozen=True)
class Finished:
    """A stream ended as it should, in both directions."""

    stream: int


@dataclass(frozen=True)
class Reset:
    """A stream was reset by the peer or with its session."""

    stream: int
    code: StreamCode
    reason: str


Event = (
    LaneUp
    | LaneClosed
    | SessionEnded
    | Offers
    | GoingAway
    | Incoming
    | Accepted
    | Data
    | HalfClosed
    | Acknowledged
    | Finished
    | Reset
)
