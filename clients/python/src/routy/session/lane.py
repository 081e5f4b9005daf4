"""One lane: its phase, what is to be sent on it, and whether it lives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from ..wire.decoder import FrameDecoder
from ..wire.layout import Frame

if TYPE_CHECKING:
    from .resync import IncomingSet
    from .stream import Stream

#: A control frame, or what makes one when its turn has come: None when it is not wanted any more.
Control = Frame | Callable[[float], Frame | None]


class Phase(Enum):
    """Phases of a lane that this end dialled."""

    HELLO = auto()
    ESTABLISHED = auto()
    CLOSED = auto()


@dataclass
class Behind:
    """What a PONG to the next PING of a lane proves that the peer has heard."""

    opens: set[int] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)
    #: The loss that a set of RESUME in front of it was made after.
    loss: int | None = None


@dataclass(eq=False)
class Lane:
    """State of one lane. `epoch` is its number in the session and its name."""

    epoch: int
    exporter: bytes
    deadline: float
    phase: Phase = Phase.HELLO
    decoder: FrameDecoder = field(default_factory=FrameDecoder)
    #: Sent before data, in this order.
    control: deque[Control] = field(default_factory=deque)
    #: Streams with something to send here; each has its turn.
    ready: deque[Stream] = field(default_factory=deque)
    homes: int = 0
    behind: Behind = field(default_factory=Behind)
    incoming_set: IncomingSet | None = None
    offer_number: int = 0
    offer_pages: list[str] = field(default_factory=list)
    heard_at: float = 0.0
    proved_at: float = 0.0
    ping_at: float = 0.0

    def send(self, control: Control) -> None:
        """Puts a control frame behind those that wait."""
        self.control.append(control)

    def is_dead(self, now: float, silence: float) -> bool:
        """Whether nothing came, or nothing proved that what goes out arrives, for so long."""
        return now >= self.dies_at(silence)

    def dies_at(self, silence: float) -> float:
        """When it is dead unless something comes."""
        return min(self.heard_at, self.proved_at) + silence
