"""Which streams each end has heard of, and which ends of streams the peer may not know."""

from __future__ import annotations

from ..wire.errors import ProtocolError, StreamCode
from .lane import Behind
from .options import Role

#: Ids above the first that is not known to be seen: 65,536 of one end.
_AHEAD_MAX = 131_072
_WAITING_MAX = 65_536
#: More ends that the peer does not confirm mean that it does not answer PINGs.
ENDS_MAX = 262_144


class PeerIds:
    """The ids of the peer's that were seen. Lanes overtake one another, so there are gaps."""

    def __init__(self, role: Role) -> None:
        self._parity = 0 if role == "dialler" else 1
        self.up_to = 0
        self.above: set[int] = set()

    def has(self, id: int) -> bool:
        """Whether the id was seen."""
        return id <= self.up_to or id in self.above

    def owns(self, id: int) -> bool:
        """Whether it is the peer's to give."""
        return id % 2 == self._parity

    def add(self, id: int) -> None:
        """Takes an id for seen. Raises ProtocolError when too many came out of order."""
        if self.has(id):
            return
        self.above.add(id)
        following = self.up_to + 2 if self.up_to else 2 - self._parity
        while following in self.above:
            self.above.remove(following)
            self.up_to = following
            following += 2
        if len(self.above) > _WAITING_MAX:
            raise ProtocolError("stream-id", f"{len(self.above)} streams wait for one before them")


class Ledger:
    """Own ids given, those the peer has not confirmed, and ends it may not have heard of."""

    def __init__(self, role: Role) -> None:
        self._first = 1 if role == "dialler" else 2
        self.opened = 0
        # In order: its first is the lowest.
        self._unconfirmed: dict[int, None] = {}
        self.ends: dict[int, StreamCode | None] = {}
        self.peer = PeerIds(role)

    def next_id(self) -> int | None:
        """Gives the next id; None when the peer has not confirmed one far below it."""
        id = self.opened + 2 if self.opened else self._first
        lowest = next(iter(self._unconfirmed), id)
        if id - lowest > _AHEAD_MAX:
            return None
        self.opened = id
        self._unconfirmed[id] = None
        return id

    def gave(self, id: int) -> bool:
        """Whether the id is one that this end has given."""
        return not self.peer.owns(id) and 0 < id <= self.opened

    def is_unconfirmed(self, id: int) -> bool:
        """Whether the peer may not have seen this own id."""
        return id in self._unconfirmed

    def seen(self, id: int) -> None:
        """The peer has said something of the stream, so it knows it."""
        self._unconfirmed.pop(id, None)

    def seen_up_to(self, id: int) -> None:
        """The peer knows all own ids up to this."""
        while self._unconfirmed and (lowest := next(iter(self._unconfirmed))) <= id:
            del self._unconfirmed[lowest]

    def confirm(self, behind: Behind) -> None:
        """A PONG came: the peer has heard what was sent in front of its PING."""
        for id in behind.opens:
            self._unconfirmed.pop(id, None)
        for id in behind.ends:
            self.ends.pop(id, None)
