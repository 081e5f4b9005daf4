"""What the owner of a session does with its streams, by their ids."""

from __future__ import annotations

from ..wire.errors import StreamCode
from ..wire.messages import Accept, Open
from .lane_set import LaneSet
from .resync import Resync
from .stream_table import StreamRefused, StreamTable


class OwnerStreams:
    """Those that are gone meanwhile take everything and do nothing."""

    def __init__(self, table: StreamTable, lanes: LaneSet, resync: Resync) -> None:
        self._table = table
        self._lanes = lanes
        self._resync = resync
        #: The peer has said GOAWAY: it takes no new ones.
        self.peer_drains = False

    def open(self, request: Open) -> int:
        """Opens a stream. Raises StreamRefused."""
        if self.peer_drains:
            raise StreamRefused("the peer takes no new streams")
        return self._table.open(request).id

    def accept(self, id: int, answer: Accept) -> None:
        """Accepts a stream of the peer's."""
        if stream := self._table.all.get(id):
            self._table.accept(stream, answer)

    def write(self, id: int, data: bytes) -> None:
        """Takes bytes to send."""
        if stream := self._table.all.get(id):
            self._table.write(stream, data)

    def end(self, id: int) -> None:
        """Half-closes a stream."""
        if stream := self._table.all.get(id):
            self._table.end(stream)

    def delivered(self, now: float, id: int, count: int) -> None:
        """So many more of the bytes of `Data` were passed on."""
        if stream := self._table.all.get(id):
            self._table.delivered(stream, count, now)

    def fin_delivered(self, id: int) -> None:
        """The half-close was passed on."""
        if stream := self._table.all.get(id):
            self._table.fin_delivered(stream)

    def reset(self, id: int, code: StreamCode, reason: str) -> None:
        """Gives a stream up; with `connection-reset` it ends behind what was written."""
        if stream := self._table.all.get(id):
            self._table.reset(stream, code, reason)
            if not self._lanes.established():
                self._resync.owe()

    def unacknowledged(self, id: int) -> int:
        """Bytes that were written and that the peer has not passed on yet."""
        stream = self._table.all.get(id)
        return len(stream.out) if stream else 0

    def has(self, id: int) -> bool:
        """Whether the stream is not gone."""
        return id in self._table.all

    @property
    def count(self) -> int:
        """Streams that are not gone."""
        return len(self._table.all)
