"""State of one stream at this end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from ..wire import frames
from ..wire.layout import Frame
from ..wire.messages import Accept, Open
from ..wire.resume import StreamRecord
from .buffers import Reassembly, SendBuffer
from .lane import Lane


class StreamPhase(Enum):
    """Phases of section 4."""

    OPENING = auto()
    INCOMING = auto()
    OPEN = auto()
    GONE = auto()


@dataclass(frozen=True)
class ResetBehind:
    """A `connection-reset`: it counts behind the bytes up to its size."""

    size: int
    reason: str


@dataclass(eq=False)
class Stream:
    """One stream. Without a home lane nothing is said of it; once it had one it is stale then."""

    id: int
    phase: StreamPhase
    request: Open
    #: What the peer may send up to.
    granted: int
    #: What this end may send up to.
    credit: int
    window: int
    home: Lane | None = None
    #: OPEN was sent once, or came.
    begun: bool = False
    answer: Accept | None = None

    out: SendBuffer = field(default_factory=SendBuffer)
    ending: bool = False
    #: FIN was ever sent; and since the stream has this home.
    fin_sent: bool = False
    fin_said: bool = False
    fin_acknowledged: bool = False
    reset_out: ResetBehind | None = None
    reset_said: bool = False

    into: Reassembly = field(default_factory=Reassembly)
    delivered: int = 0
    #: What the last CREDIT acknowledged.
    told_delivered: int = 0
    credit_waits: bool = False
    acknowledge_at: float | None = None
    fin_size: int | None = None
    half_closed: bool = False
    fin_delivered: bool = False
    #: That was said on this home.
    end_said: bool = False
    reset_in: ResetBehind | None = None
    reset_told: bool = False
    #: The last set of RESUME that had a record of it.
    last_set: int = 0

    @property
    def is_stale(self) -> bool:
        """Whether its home was lost and the peer has not said since what it has."""
        return self.begun and self.home is None

    @property
    def has_nothing_left(self) -> bool:
        """Whether the peer has acknowledged all that was written."""
        return len(self.out) == 0 and (not self.ending or self.fin_acknowledged)

    @property
    def is_finished(self) -> bool:
        """Whether both directions ended and both ends know, also behind a `connection-reset`."""
        return self.fin_delivered and self.fin_acknowledged

    @property
    def final_size(self) -> int | None:
        """The size of the peer's direction, if FIN or `connection-reset` told it."""
        if self.fin_size is not None:
            return self.fin_size
        return self.reset_in.size if self.reset_in else None

    def sendable(self) -> int:
        """How many bytes could go out now."""
        if self.reset_in is not None or self.phase in (StreamPhase.INCOMING, StreamPhase.GONE):
            return 0
        return max(0, min(self.out.end, self.credit) - self.out.next)

    def owes_fin(self) -> bool:
        """Whether FIN is due: all bytes were sent, and it was not said on this home."""
        due = self.ending and not self.fin_said and self.out.next == self.out.end
        return due and self.reset_in is None and self.phase is not StreamPhase.GONE

    def owes_reset(self) -> bool:
        """Whether `connection-reset` is due: at once, but behind the FIN if there is one."""
        return (
            self.reset_out is not None
            and not self.reset_said
            and (not self.ending or self.fin_said)
            and self.phase is not StreamPhase.GONE
        )

    def make_credit(self) -> Frame:
        """CREDIT with what is so now, which raises the grant."""
        self.granted = max(self.granted, self.delivered + self.window)
        self.told_delivered = self.delivered
        self.acknowledge_at = None
        self.end_said = self.fin_delivered
        return frames.credit(self.id, self.granted, self.delivered, self.fin_delivered)

    def make_reset(self) -> Frame:
        """The `connection-reset` of this end."""
        assert self.reset_out is not None, "no reset is due"
        size, reason = self.reset_out.size, self.reset_out.reason
        return frames.reset(self.id, size, "connection-reset", reason)

    def record(self) -> StreamRecord:
        """What RESUME says of it."""
        return StreamRecord(
            self.id,
            self.phase is StreamPhase.OPEN,
            self.fin_size is not None,
            self.fin_delivered,
            self.into.received,
            self.delivered,
            self.granted,
        )
