"""What the peer says of streams."""

from __future__ import annotations

from collections import deque

from ..wire import frames
from ..wire.errors import ProtocolError
from ..wire.json_object import broken
from ..wire.layout import FLAG, Frame, FrameType
from ..wire.messages import read_accept, read_open
from .events import Accepted, Acknowledged, Data, Event, HalfClosed, Incoming, Reset
from .lane import Lane
from .lane_set import LaneSet
from .ledger import Ledger
from .options import SessionOptions
from .stream import ResetBehind, Stream, StreamPhase
from .stream_table import REASON_ANSWER, StreamTable

_TAKES = {
    StreamPhase.OPENING: {FrameType.ACCEPT, FrameType.RESET},
    StreamPhase.INCOMING: {FrameType.DATA, FrameType.FIN, FrameType.RESET},
    StreamPhase.OPEN: {FrameType.DATA, FrameType.FIN, FrameType.RESET, FrameType.CREDIT},
}


class StreamReceiver:
    """Judges frames of streams by the tables of section 4."""

    def __init__(
        self,
        options: SessionOptions,
        ledger: Ledger,
        lanes: LaneSet,
        table: StreamTable,
        events: deque[Event],
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._lanes = lanes
        self._table = table
        self._events = events
        self.draining = False

    def handle(self, lane: Lane, frame: Frame, now: float) -> None:
        """Takes one frame of a stream. Raises ProtocolError."""
        if frame.type is FrameType.OPEN:
            self._open(lane, frame)
            return
        stream = self._find(lane, frame)
        if stream is None:
            return
        self._ledger.seen(stream.id)
        mine = not self._ledger.peer.owns(stream.id)
        again = frame.type is FrameType.ACCEPT and mine and stream.phase is StreamPhase.OPEN
        if not again and frame.type not in _TAKES[stream.phase]:
            phase = stream.phase.name.lower()
            raise ProtocolError("stream-state", f"{frame.type.name} of a stream that is {phase}")
        match frame.type:
            case FrameType.ACCEPT:
                self._accept(stream, frame)
            case FrameType.DATA:
                self._data(stream, frame)
            case FrameType.FIN:
                self._fin(stream, frame)
            case FrameType.CREDIT:
                self._credit(stream, frame, now)
            case _:
                self._reset(stream, frame)

    def _find(self, lane: Lane, frame: Frame) -> Stream | None:
        """The stream of a frame; None when it is gone."""
        id, ids = frame.stream, self._ledger.peer
        stream = self._table.all.get(id)
        if stream is not None or self._ledger.gave(id):
            return stream
        if ids.owns(id) and ids.has(id):
            return None
        if not ids.owns(id) or frame.type is not FrameType.RESET:
            raise ProtocolError("stream-id", f"{frame.type.name} of stream {id}, never opened")
        # It overtook its OPEN, which is ignored from now on.
        ids.add(id)
        code, _ = frames.read_reset(frame.payload)
        if code == "connection-reset":
            self._table.refuse(id, lane, "cancelled", REASON_ANSWER)
        return None

    def _open(self, lane: Lane, frame: Frame) -> None:
        request = read_open(frame.payload)
        ids = self._ledger.peer
        if not ids.owns(frame.stream):
            raise ProtocolError("stream-id", f"OPEN of stream {frame.stream}, not the peer's")
        if ids.has(frame.stream):
            return
        ids.add(frame.stream)
        if self.draining:
            self._table.refuse(frame.stream, lane, "draining", "this end takes no new streams")
            return
        if self._count_incoming() >= self._options.streams_max:
            self._table.refuse(frame.stream, lane, "overload", "too many streams")
            return
        stream = Stream(
            frame.stream,
            StreamPhase.INCOMING,
            request,
            granted=self._options.initial_window,
            credit=frame.offset,
            window=self._options.stream_window,
            begun=True,
        )
        self._table.all[stream.id] = stream
        self._lanes.move(stream, lane)
        self._events.append(Incoming(stream.id, request))

    def _count_incoming(self) -> int:
        if len(self._table.all) < self._options.streams_max:
            return 0
        return sum(1 for id in self._table.all if self._ledger.peer.owns(id))

    def _accept(self, stream: Stream, frame: Frame) -> None:
        answer = read_accept(frame.payload)
        request = stream.request
        offered = set(answer.capabilities) <= set(request.capabilities)
        if answer.version not in request.versions or not offered:
            raise broken("ACCEPT of what was not offered")
        if stream.phase is StreamPhase.OPEN and answer != stream.answer:
            raise ProtocolError("stream-state", "ACCEPT again, with another choice")
        if stream.phase is StreamPhase.OPENING:
            stream.phase = StreamPhase.OPEN
            stream.answer = answer
            self._events.append(Accepted(stream.id, answer))
        self._raise_credit(stream, frame.offset)

    def _data(self, stream: Stream, frame: Frame) -> None:
        end = frame.offset + len(frame.payload)
        if stream.final_size is not None and end > stream.final_size:
            raise ProtocolError("final-size", f"DATA up to {end} of {stream.final_size}")
        if end > stream.granted:
            raise ProtocolError("credit-exceeded", f"DATA up to {end}, granted {stream.granted}")
        if stream.reset_out is not None:
            return
        ready = stream.into.take(frame.offset, frame.payload)
        if ready:
            self._events.append(Data(stream.id, ready))
            self._progress(stream)

    def _fin(self, stream: Stream, frame: Frame) -> None:
        size = frame.offset
        if stream.final_size not in (None, size) or size < stream.into.top:
            raise ProtocolError("final-size", f"FIN at {size}")
        if size > stream.granted:
            raise ProtocolError("final-size", f"FIN at {size}, granted {stream.granted}")
        if stream.reset_out is None and stream.fin_size is None:
            stream.fin_size = size
            self._progress(stream)

    def _progress(self, stream: Stream) -> None:
        """Tells the end of the peer's direction once all bytes before it are there."""
        received = stream.into.received
        if stream.fin_size == received and not stream.half_closed:
            stream.half_closed = True
            self._events.append(HalfClosed(stream.id))
        behind = stream.reset_in
        if behind is not None and behind.size == received and not stream.reset_told:
            stream.reset_told = True
            self._events.append(Reset(stream.id, "connection-reset", behind.reason))
            self._table.answer_reset(stream)

    def _credit(self, stream: Stream, frame: Frame, now: float) -> None:
        [delivered] = frames.read_numbers(frame.payload)
        if delivered > stream.out.sent:
            raise ProtocolError("credit-exceeded", f"{delivered} delivered of {stream.out.sent}")
        flag = bool(frame.flags & FLAG)
        if flag and (not stream.fin_sent or delivered != stream.out.end):
            raise ProtocolError("final-size", "FIN delivered that was not sent, or not all before")
        home = stream.home
        if self.acknowledge(stream, delivered, flag) and home is not None:
            home.proved_at = now
        if stream.phase is not StreamPhase.GONE:
            self._raise_credit(stream, frame.offset)

    def acknowledge(self, stream: Stream, delivered: int, fin: bool) -> bool:
        """The peer has passed on so much. Whether that was news of bytes."""
        news = stream.out.acknowledge(delivered)
        stream.fin_acknowledged = stream.fin_acknowledged or fin
        if news:
            self._events.append(Acknowledged(stream.id))
        self._table.finish(stream)
        return news

    def _raise_credit(self, stream: Stream, limit: int) -> None:
        if limit > stream.credit:
            stream.credit = limit
            self._lanes.wake(stream)

    def _reset(self, stream: Stream, frame: Frame) -> None:
        code, reason = frames.read_reset(frame.payload)
        size = frame.offset
        self._judge_size(stream, size, code == "connection-reset")
        if code != "connection-reset":
            self._table.lose(stream, code, reason)
        elif stream.reset_out is not None or stream.phase is not StreamPhase.OPEN:
            # Nobody is left to deliver to, or nobody is there yet.
            self._events.append(Reset(stream.id, code, reason))
            frame = frames.reset(stream.id, stream.out.sent, "cancelled", REASON_ANSWER)
            self._table.give_up(stream, frame, "cancelled")
        elif stream.reset_in is None:
            stream.reset_in = ResetBehind(size, reason)
            self._progress(stream)

    def _judge_size(self, stream: Stream, size: int, is_behind: bool) -> None:
        known = stream.final_size
        gives_up_less = not is_behind and stream.reset_in is not None and size < (known or 0)
        if size < stream.into.received or (known not in (None, size) and not gives_up_less):
            raise ProtocolError("final-size", f"RESET at {size}")
        if not is_behind and size > stream.granted:
            raise ProtocolError("final-size", f"RESET at {size}, granted {stream.granted}")
