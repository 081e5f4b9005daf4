"""RESUME: what each end says after a lane was lost, and what the other makes of it (section 5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..wire.errors import ProtocolError
from ..wire.layout import FLAG, Frame
from ..wire.resume import (
    Dead,
    Ended,
    Opened,
    Record,
    Seen,
    StreamRecord,
    read_records,
    write_set,
)
from .events import Event, Finished
from .lane import Lane
from .ledger import Ledger
from .stream import Stream, StreamPhase
from .stream_receiver import StreamReceiver
from .stream_table import StreamTable

_DEAD_MAX = 64


@dataclass
class IncomingSet:
    """A set of RESUME that comes on a lane."""

    number: int
    opened: Opened


class Resync:
    """Makes this end's sets, and takes the peer's."""

    def __init__(
        self,
        ledger: Ledger,
        table: StreamTable,
        receiver: StreamReceiver,
        events: deque[Event],
        lane_is_dead: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._table = table
        self._receiver = receiver
        self._events = events
        self._lane_is_dead = lane_is_dead
        self._dead: deque[int] = deque(maxlen=_DEAD_MAX)
        self._sets = 0
        #: Counts what a set tells about; `owed` until a PONG proved that the last one was read.
        self.loss = 0
        self.owed = False

    def lane_lost(self, epoch: int) -> None:
        """A lane is gone, which the peer has to hear."""
        self._dead.append(epoch)
        self.owe()

    def owe(self) -> None:
        """Something has to be told that no lane could carry."""
        self.loss += 1
        self.owed = True

    def heard(self, loss: int | None) -> None:
        """The peer has read a set that was made after this loss."""
        if loss == self.loss:
            self.owed = False

    def write(self, lane: Lane) -> None:
        """Sends a set on the lane. A PING is to follow."""
        for frame in write_set(self._records()):
            lane.send(frame)
        ends = self._ledger.ends
        lane.behind.ends.update(ends)
        lane.behind.opens.update(ends)
        lane.behind.loss = self.loss

    def _records(self) -> Iterator[Record]:
        peer = self._ledger.peer
        yield Opened(peer.up_to, self._ledger.opened)
        yield from (Dead(epoch) for epoch in self._dead)
        yield from (Seen(id) for id in sorted(peer.above))
        for stream in self._table.all.values():
            yield stream.record()
        yield from (Ended(id, code) for id, code in self._ledger.ends.items())

    def handle(self, lane: Lane, frame: Frame) -> None:
        """Takes one frame of a set. Raises ProtocolError `resume`."""
        for record in read_records(frame.payload):
            self._take(lane, record)
        if frame.flags & FLAG:
            if lane.incoming_set is None:
                raise _wrong("a set without a record")
            self._end_set(lane, lane.incoming_set)
            lane.incoming_set = None

    def _take(self, lane: Lane, record: Record) -> None:
        current = lane.incoming_set
        if isinstance(record, Opened):
            if current is not None:
                raise _wrong("opened said twice")
            self._own(record.seen, or_none=True)
            self._sets += 1
            lane.incoming_set = IncomingSet(self._sets, record)
            self._ledger.seen_up_to(record.seen)
            return
        if current is None:
            raise _wrong("a set that does not begin with opened")
        match record:
            case Dead(epoch):
                if epoch in (0, lane.epoch):
                    raise _wrong(f"lane {epoch} said to be dead")
                self._lane_is_dead(epoch)
            case Seen(id):
                self._own(id)
                self._ledger.seen(id)
            case StreamRecord():
                self._check_id(record.id, current)
                self._stream(lane, current, record)
            case Ended():
                self._check_id(record.id, current)
                self._ended(record)

    def _own(self, id: int, or_none: bool = False) -> None:
        if not self._ledger.gave(id) and not (or_none and id == 0):
            raise _wrong(f"stream {id} seen, which was never opened")

    def _check_id(self, id: int, current: IncomingSet) -> None:
        if self._ledger.peer.owns(id) and 0 < id <= current.opened.opened:
            return
        if not self._ledger.gave(id):
            raise _wrong(f"stream {id}, which was never opened")

    def _stream(self, lane: Lane, current: IncomingSet, record: StreamRecord) -> None:
        self._ledger.seen(record.id)
        stream = self._table.all.get(record.id)
        if stream is None:
            return
        stream.last_set = current.number
        if not stream.is_stale:
            return
        if not _can_be(stream, record):
            self._table.reset(stream, "resume-mismatch", "RESUME says what cannot be")
            return
        stream.credit = max(stream.credit, record.limit)
        self._receiver.acknowledge(stream, record.delivered, record.fin_delivered)
        if stream.phase is not StreamPhase.GONE:
            stream.out.rewind(max(record.received, stream.out.base))
            self._table.resend(stream, lane, record.accepted, record.fin_received)

    def _ended(self, record: Ended) -> None:
        if self._ledger.peer.owns(record.id):
            self._ledger.peer.add(record.id)
        else:
            self._ledger.seen(record.id)
        stream = self._table.all.get(record.id)
        if stream is None:
            return
        if record.code is not None:
            self._table.lose(stream, record.code, "told when the session was resumed")
        elif stream.fin_sent and stream.fin_delivered:
            self._table.remove(stream)
            self._events.append(Finished(stream.id))
        else:
            self._table.lose(stream, "resume-mismatch", "ended for the peer, not for this end")

    def _end_set(self, lane: Lane, current: IncomingSet) -> None:
        """Looks at the stale streams that neither this set nor a later one speaks of."""
        for stream in list(self._table.all.values()):
            if not stream.is_stale or stream.last_set >= current.number:
                continue
            if self._ledger.peer.owns(stream.id):
                is_lost = stream.id <= current.opened.opened
            else:
                is_lost = not self._ledger.is_unconfirmed(stream.id)
            if is_lost:
                self._table.lose(stream, "session-lost", "the peer does not have the stream")
            elif stream.phase is StreamPhase.OPENING:
                self._table.begin(stream, lane)


def _can_be(stream: Stream, record: StreamRecord) -> bool:
    in_order = record.delivered <= record.received <= stream.out.sent
    if not in_order or record.delivered > record.limit:
        return False
    if record.fin_received and not stream.fin_sent:
        return False
    return not record.fin_delivered or (record.fin_received and record.delivered == stream.out.end)


def _wrong(message: str) -> ProtocolError:
    return ProtocolError("resume", message)
