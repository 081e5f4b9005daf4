"""The streams of a session: what the owner does with them, and what is sent of them."""

from __future__ import annotations

from collections import deque

from ..wire import frames
from ..wire.errors import StreamCode
from ..wire.layout import Frame
from ..wire.messages import Accept, Open
from .events import Event, Finished, Reset
from .lane import Lane
from .lane_set import LaneSet
from .ledger import Ledger
from .options import SessionOptions
from .stream import ResetBehind, Stream, StreamPhase

#: Bytes of one DATA frame: other streams and control frames have their turn in between.
_CHUNK_BYTES = 32_768
#: What is delivered is acknowledged within this time, even without half a window of it.
_ACKNOWLEDGE_SECONDS = 0.04


#: Why a `connection-reset` is answered.
REASON_ANSWER = "reset at the other end"


class StreamRefused(Exception):
    """No stream can be opened now."""


class StreamTable:
    """All streams that are not gone."""

    def __init__(
        self, options: SessionOptions, ledger: Ledger, lanes: LaneSet, events: deque[Event]
    ) -> None:
        self._options = options
        self._ledger = ledger
        self._lanes = lanes
        self._events = events
        self.all: dict[int, Stream] = {}
        #: The `initialWindow` of the peer's HELLO on the first lane.
        self.peer_window = 0
        # In the order of their times, which all lie as far ahead.
        self._acknowledge: deque[tuple[float, Stream]] = deque()

    # What the owner does.

    def open(self, request: Open) -> Stream:
        """Opens a stream. Raises StreamRefused when the peer has not confirmed too many."""
        id = self._ledger.next_id()
        if id is None:
            raise StreamRefused("the peer has not confirmed the streams before this one")
        window = self._options.stream_window
        credit = self.peer_window
        stream = Stream(id, StreamPhase.OPENING, request, window, credit, window)
        self.all[id] = stream
        lane = self._lanes.emptiest()
        if lane is not None:
            self.begin(stream, lane)
        return stream

    def begin(self, stream: Stream, lane: Lane) -> None:
        """Sends OPEN, and what follows it, on this lane."""
        stream.credit = max(stream.credit, self.peer_window)
        stream.out.rewind(0)
        stream.fin_said = stream.reset_said = False
        stream.begun = True
        self._lanes.move(stream, lane)
        self._lanes.send_open(lane, frames.open_stream(stream.id, stream.granted, stream.request))
        self._say_reset(stream)
        self._lanes.wake(stream)

    def begin_waiting(self, lane: Lane) -> None:
        """Opens those that had to wait for a lane."""
        for stream in list(self.all.values()):
            if not stream.begun:
                self.begin(stream, lane)

    def accept(self, stream: Stream, answer: Accept) -> None:
        """Accepts a stream of the peer's."""
        assert stream.phase is StreamPhase.INCOMING, "only what the peer opened is accepted"
        stream.phase = StreamPhase.OPEN
        stream.answer = answer
        if stream.home is not None:
            self.say_accept(stream, stream.home)
            if stream.delivered > 0 or stream.fin_delivered:
                self.say_credit(stream)

    def write(self, stream: Stream, data: bytes) -> None:
        """Takes bytes to send. Those behind an end or reset, of either side, are dropped."""
        if stream.ending or stream.reset_out or stream.reset_in:
            return
        stream.out.write(data)
        self._lanes.wake(stream)

    def end(self, stream: Stream) -> None:
        """Half-closes: no more bytes follow."""
        if not stream.reset_out and not stream.reset_in:
            stream.ending = True
            self._lanes.wake(stream)

    def delivered(self, stream: Stream, count: int, now: float) -> None:
        """So many bytes more were passed on."""
        stream.delivered += count
        assert stream.delivered <= stream.into.received, "more was delivered than came"
        if self.answer_reset(stream) or stream.phase is not StreamPhase.OPEN:
            return
        if stream.delivered - stream.told_delivered >= stream.window // 2:
            self.say_credit(stream)
        elif stream.acknowledge_at is None:
            stream.acknowledge_at = now + _ACKNOWLEDGE_SECONDS
            self._acknowledge.append((stream.acknowledge_at, stream))

    def fin_delivered(self, stream: Stream) -> None:
        """The half-close was passed on."""
        assert stream.half_closed and stream.delivered == stream.fin_size, "not at the end yet"
        stream.fin_delivered = True
        if not self.finish(stream):
            self.say_credit(stream)

    def reset(self, stream: Stream, code: StreamCode, reason: str) -> None:
        """Gives the stream up; or, with `connection-reset`, lets it end behind its bytes."""
        if code == "connection-reset" and stream.reset_in is None:
            self._reset_behind(stream, reason)
            return
        if code == "connection-reset":
            code = "cancelled"
        self.give_up(stream, frames.reset(stream.id, stream.out.sent, code, reason), code)

    def _reset_behind(self, stream: Stream, reason: str) -> None:
        if stream.reset_out is None:
            stream.reset_out = ResetBehind(stream.out.end, reason)
            self._say_reset(stream)
            self._lanes.wake(stream)
            if stream.has_nothing_left and stream.phase is not StreamPhase.GONE:
                self.give_up(stream, stream.make_reset(), "connection-reset")
                self._events.append(Reset(stream.id, "connection-reset", reason))

    # How streams end.

    def give_up(self, stream: Stream, frame: Frame, code: StreamCode) -> None:
        """The stream is gone with this RESET, which goes on any lane."""
        lane = stream.home or self._lanes.last_heard()
        self.remove(stream)
        self._end(stream.id, code, lane, frame)

    def refuse(self, id: int, lane: Lane, code: StreamCode, reason: str) -> None:
        """Resets a stream that this end never had."""
        self._end(id, code, lane, frames.reset(id, 0, code, reason))

    def finish(self, stream: Stream) -> bool:
        """Ends a stream of which both directions have ended. Whether it has."""
        if not stream.is_finished or stream.phase is StreamPhase.GONE:
            return False
        lane = stream.home or self._lanes.last_heard()
        self.remove(stream)
        self._end(stream.id, None, lane, None if stream.end_said else stream.make_credit())
        if not stream.reset_told:
            self._events.append(Finished(stream.id))
        return True

    def lose(self, stream: Stream, code: StreamCode, reason: str) -> None:
        """The peer ended it: nothing is sent."""
        self.remove(stream)
        if not stream.reset_told:
            self._events.append(Reset(stream.id, code, reason))

    def answer_reset(self, stream: Stream) -> bool:
        """Answers a `connection-reset` once all before it was passed on. Whether it has."""
        behind = stream.reset_in
        if behind is None or not stream.reset_told or stream.delivered < behind.size:
            return False
        frame = frames.reset(stream.id, stream.out.sent, "cancelled", REASON_ANSWER)
        self.give_up(stream, frame, "cancelled")
        return True

    def remove(self, stream: Stream) -> None:
        """Forgets a stream."""
        stream.phase = StreamPhase.GONE
        self._lanes.move(stream, None)
        self.all.pop(stream.id, None)

    def _end(
        self, id: int, code: StreamCode | None, lane: Lane | None, frame: Frame | None
    ) -> None:
        self._ledger.ends[id] = code
        if lane is not None:
            self._lanes.send_end(lane, id, frame)

    # What is sent.

    def say_accept(self, stream: Stream, lane: Lane) -> None:
        """Sends ACCEPT."""
        assert stream.answer is not None, "accepted without an answer"
        lane.send(frames.accept(stream.id, stream.granted, stream.answer))

    def say_credit(self, stream: Stream) -> None:
        """Sends CREDIT when its turn has come, with what is so then."""
        lane = stream.home
        # Before ACCEPT there is none: that comes first and grants, too.
        if lane is None or stream.credit_waits or stream.phase is not StreamPhase.OPEN:
            return
        stream.credit_waits = True

        def render(_now: float) -> Frame | None:
            if stream.home is not lane:
                return None
            stream.credit_waits = False
            return stream.make_credit()

        lane.send(render)

    def _say_reset(self, stream: Stream) -> None:
        if stream.owes_reset() and stream.home is not None:
            stream.reset_said = True
            stream.home.send(stream.make_reset())
            if stream.has_nothing_left:
                # The peer may answer all the same; that is ignored then.
                stream.home.behind.ends.add(stream.id)
                self._ledger.ends[stream.id] = "connection-reset"
                self.remove(stream)
                self._events.append(Reset(stream.id, "connection-reset", "said here"))

    def next_data(self, lane: Lane) -> bytes | None:
        """What the stream whose turn it is has to send on this lane; None when none has any."""
        while lane.ready:
            stream = lane.ready.popleft()
            if stream.home is not lane:
                continue
            told = self._next_of(stream)
            self._lanes.wake(stream)
            if told:
                return told
        return None

    def _next_of(self, stream: Stream) -> bytes:
        told = b""
        count = min(stream.sendable(), _CHUNK_BYTES)
        if count > 0:
            told = frames.data(stream.id, *stream.out.take(count)).encode()
        if stream.owes_fin():
            stream.fin_sent = stream.fin_said = True
            told += frames.fin(stream.id, stream.out.end).encode()
        self._say_reset(stream)
        return told

    # Time, and lanes that come and go.

    def acknowledge_at(self) -> float | None:
        """When the next late acknowledgement is due."""
        while self._acknowledge and self._acknowledge[0][1].acknowledge_at is None:
            self._acknowledge.popleft()
        return self._acknowledge[0][0] if self._acknowledge else None

    def handle_time(self, now: float) -> None:
        """Sends the acknowledgements that are due."""
        while (due := self.acknowledge_at()) is not None and due <= now:
            stream = self._acknowledge.popleft()[1]
            stream.acknowledge_at = None
            self.say_credit(stream)

    def lane_lost(self, lane: Lane) -> None:
        """Streams that were at home there are stale."""
        for stream in self.all.values():
            if stream.home is lane:
                self._lanes.move(stream, None)
                stream.credit_waits = False
                stream.fin_said = stream.reset_said = stream.end_said = False

    def resend(self, stream: Stream, lane: Lane, accepted: bool, fin_received: bool) -> None:
        """What follows a synchronisation: all that the peer has not got, in order."""
        self._lanes.move(stream, lane)
        stream.fin_said = fin_received
        stream.reset_said = False
        if stream.answer is not None and not accepted and self._ledger.peer.owns(stream.id):
            self.say_accept(stream, lane)
        self.say_credit(stream)
        self._say_reset(stream)
        self._lanes.wake(stream)
