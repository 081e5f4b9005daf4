"""A session and its lanes: the way in and out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..wire import frames
from ..wire.errors import LaneCode, ProtocolError
from ..wire.layout import Frame, FrameType
from ..wire.messages import Hello
from .events import Event, GoingAway, LaneClosed, LaneUp, Reset, SessionEnded
from .handshake import DiallerHandshake, Refusal, make_hello
from .lane import Lane, Phase
from .lane_set import LaneSet
from .ledger import ENDS_MAX, Ledger
from .offers import OfferLists
from .options import SessionOptions
from .owner_streams import OwnerStreams
from .pings import Pings, RoundTrip
from .resync import Resync
from .stream import Stream, StreamPhase
from .stream_receiver import StreamReceiver
from .stream_table import StreamTable

_HELLO_SECONDS = 10.0
#: Control frames that wait on a lane whose peer does not read.
_CONTROL_MAX = 262_144


class Session:
    """The protocol of one session.

    Times are seconds of a monotonic clock, `wall_us` is the wall clock at `now`, in microseconds
    since 1970. After each call: take events, then bytes of each lane, then ask for the next time.
    """

    def __init__(self, options: SessionOptions, now: float, wall_us: int) -> None:
        self.options = options
        self.events: deque[Event] = deque()
        self.ended: SessionEnded | None = None
        self._started = self._now = now
        self._wall_us = wall_us
        self._epoch = 0
        self._handshake = DiallerHandshake(options)
        self._heard_at = now
        self._was_up = False
        #: Those that both ends name, once the first lane is established.
        self.capabilities: tuple[str, ...] = ()
        settings = options.settings
        self._interval = settings.heartbeat_interval_ms / 1000
        self._silence = self._interval * settings.heartbeat_misses
        patience = 1.0 if options.role == "dialler" else 1.25
        self._patience = patience * settings.resume_time_ms / 1000
        self._lanes = LaneSet()
        # What a lane that is closed still has to say.
        self._last: dict[int, Lane] = {}
        self._ledger = Ledger(options.role)
        self._table = StreamTable(options, self._ledger, self._lanes, self.events)
        self._receiver = StreamReceiver(
            options, self._ledger, self._lanes, self._table, self.events
        )
        self._offers = OfferLists(self.events)
        self._pings = Pings()
        self._resync = Resync(
            self._ledger, self._table, self._receiver, self.events, self._peer_lost_lane
        )
        #: What the owner does with streams.
        self.streams = OwnerStreams(self._table, self._lanes, self._resync)

    # Lanes.

    @property
    def can_dial(self) -> bool:
        """Whether a lane may be dialled: no further one before the first was answered."""
        return self.ended is None and (self._handshake.secret is not None or not self._lanes.all)

    def is_joining(self, number: int) -> bool:
        """Whether the lane waits for the peer's HELLO."""
        lane = self._lanes.all.get(number)
        return lane is not None and lane.phase is Phase.HELLO

    @property
    def is_up(self) -> bool:
        """Whether a lane is established."""
        return bool(self._lanes.established())

    @property
    def established_lanes(self) -> int:
        """How many lanes carry frames."""
        return len(self._lanes.established())

    @property
    def round_trip(self) -> RoundTrip | None:
        """What the last PONG told."""
        return self._pings.last

    def dial(self, now: float, exporter: bytes) -> int:
        """Sends HELLO on a lane whose TLS handshake is through. Gives the lane's number."""
        assert self.can_dial, "no further lane before the first is established"
        self._now = now
        self._epoch += 1
        lane = Lane(self._epoch, exporter, now + _HELLO_SECONDS)
        self._lanes.all[lane.epoch] = lane
        reference = self._handshake.reference(lane.epoch, exporter)
        hello = make_hello(self.options, reference, self._wall(now))
        lane.send(frames.hello(hello))
        return lane.epoch

    def receive(self, now: float, number: int, data: bytes) -> None:
        """Takes bytes of a lane."""
        lane = self._lanes.all.get(number)
        if lane is None:
            return
        self._now = lane.heard_at = now
        if lane.phase is Phase.ESTABLISHED:
            self._heard_at = now
        try:
            for frame in lane.decoder.feed(data):
                self._handle(now, lane, frame)
                if lane.phase is Phase.CLOSED:
                    return
        except ProtocolError as error:
            self._fail(lane, error.lane_code, str(error))

    def lane_closed(self, now: float, number: int, reason: str) -> None:
        """The lane's connection has ended."""
        self._now = now
        lane = self._lanes.all.get(number)
        if lane is not None:
            self._lose(lane, "lane-lost", reason, cut=True)

    def transmit(self, now: float, number: int, count: int = 65_536) -> bytes:
        """Bytes to send on a lane: `count` of them, some more or none."""
        lane = self._lanes.all.get(number) or self._last.pop(number, None)
        if lane is None:
            return b""
        parts: list[bytes] = []
        size = 0
        while size < count or lane.phase is Phase.CLOSED:
            part = self._next(now, lane)
            if part is None:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _next(self, now: float, lane: Lane) -> bytes | None:
        while lane.control:
            control = lane.control.popleft()
            frame = control if isinstance(control, Frame) else control(now)
            if frame is not None:
                return frame.encode()
        return self._table.next_data(lane) if lane.phase is Phase.ESTABLISHED else None

    # The session.

    def offer(self, names: Iterable[str]) -> None:
        """Tells the peer which services it may open."""
        self._offers.change(tuple(names))
        if lane := self._lanes.last_heard():
            self._offers.write(lane)

    def drain(self) -> None:
        """Takes no new streams from now on."""
        if self._receiver.draining:
            return
        self._receiver.draining = True
        if lane := self._lanes.last_heard():
            lane.send(frames.goaway())

    def close(self, code: LaneCode, reason: str) -> None:
        """Ends the session, with CLOSE on all lanes."""
        self._end(code, reason, tell=True)

    def next_time(self) -> float | None:
        """When `handle_time` is to be called, at the latest."""
        if self.ended is not None:
            return None
        times: list[float] = []
        for lane in self._lanes.all.values():
            if lane.phase is Phase.HELLO:
                times.append(lane.deadline)
            else:
                times += (lane.ping_at, lane.dies_at(self._silence))
        if self._is_suspended:
            times.append(self._heard_at + self._patience)
        if (due := self._table.acknowledge_at()) is not None:
            times.append(due)
        return min(times, default=None)

    def handle_time(self, now: float) -> None:
        """Does what is due."""
        self._now = now
        self._table.handle_time(now)
        for lane in list(self._lanes.all.values()):
            if lane.phase is Phase.HELLO and now >= lane.deadline:
                self._refuse(lane, Refusal("handshake-timeout", "no HELLO in 10 s"))
            elif lane.phase is Phase.ESTABLISHED and lane.is_dead(now, self._silence):
                self._lose(lane, "heartbeat-timeout", "the heartbeat failed", cut=True)
            elif lane.phase is Phase.ESTABLISHED and now >= lane.ping_at:
                self._ping(lane, now)
        if self._is_suspended and now >= self._heard_at + self._patience:
            self._end("resume-timeout", "no lane came up in time", tell=True)
        if len(self._ledger.ends) > ENDS_MAX:
            self._end("overload", "the peer does not answer PINGs", tell=True)

    # Handshake.

    def _handle_hello(self, now: float, lane: Lane, frame: Frame) -> None:
        answer = self._handshake.judge(frame.payload, lane.epoch, lane.exporter)
        if isinstance(answer, Refusal):
            self._refuse(lane, answer)
        else:
            self._join(now, lane, answer)

    def _refuse(self, lane: Lane, refusal: Refusal) -> None:
        # The acceptor holds a further lane for established by now: the session must not end by it.
        code = "lane-done" if self._was_up else refusal.code
        lane.control.clear()
        lane.send(frames.close(code, refusal.reason))
        self._lose(lane, refusal.code, refusal.reason)

    def _join(self, now: float, lane: Lane, hello: Hello) -> None:
        """The lane is established, at the dialler by the acceptor's HELLO."""
        is_first = not self._was_up
        if is_first:
            self._handshake.secret = hello.session.secret
            self._table.peer_window = hello.initial_window
            both = set(hello.capabilities) & set(self.options.capabilities)
            self.capabilities = tuple(each for each in self.options.capabilities if each in both)
            self._was_up = True
        lane.phase = Phase.ESTABLISHED
        lane.heard_at = lane.proved_at = self._heard_at = now
        self.events.append(LaneUp(lane.epoch))
        if self._resync.owed:
            self._send_set(lane, now)
        else:
            self._ping(lane, now)
            if is_first:
                self._offers.write(lane)
                self._say_goaway(lane)
        self._table.begin_waiting(lane)

    def _send_set(self, lane: Lane, now: float) -> None:
        self._resync.write(lane)
        self._offers.write(lane)
        self._say_goaway(lane)
        self._ping(lane, now)

    def _say_goaway(self, lane: Lane) -> None:
        if self._receiver.draining:
            lane.send(frames.goaway())

    def _ping(self, lane: Lane, now: float) -> None:
        lane.ping_at = now + self._interval
        self._pings.send(lane, now, self._wall(now))

    # Frames.

    def _handle(self, now: float, lane: Lane, frame: Frame) -> None:
        if frame.type is FrameType.CLOSE:
            self._handle_close(lane, frame)
        elif lane.phase is Phase.HELLO:
            if frame.type is not FrameType.HELLO:
                raise ProtocolError("frame-order", f"{frame.type.name} before HELLO")
            self._handle_hello(now, lane, frame)
        elif frame.type is FrameType.HELLO:
            raise ProtocolError("frame-order", "HELLO on an established lane")
        elif frame.stream > 0:
            self._receiver.handle(lane, frame, now)
        else:
            self._handle_own(now, lane, frame)

    def _handle_own(self, now: float, lane: Lane, frame: Frame) -> None:
        """A frame of the session on an established lane."""
        match frame.type:
            case FrameType.PING:
                self._answer_ping(now, lane, frame)
            case FrameType.PONG:
                behind = self._pings.handle_pong(lane, frame, now, self._wall(now))
                if behind is not None:
                    self._ledger.confirm(behind)
                    self._resync.heard(behind.loss)
            case FrameType.OFFERS:
                self._offers.handle(lane, frame)
            case FrameType.GOAWAY:
                if not self.streams.peer_drains:
                    self.streams.peer_drains = True
                    self.events.append(GoingAway())
            case _:
                self._resync.handle(lane, frame)

    def _answer_ping(self, now: float, lane: Lane, frame: Frame) -> None:
        [clock_us] = frames.read_numbers(frame.payload)
        sequence, received_us = frame.offset, self._wall(now)
        if len(lane.control) > _CONTROL_MAX:
            self._end("overload", "the peer does not read its answers", tell=True)
        lane.send(lambda then: frames.pong(sequence, clock_us, received_us, self._wall(then)))

    def _handle_close(self, lane: Lane, frame: Frame) -> None:
        code, reason = frames.read_close(frame.payload)
        lane.control.clear()
        ends_session = code == "unknown-session" or (
            lane.phase is Phase.ESTABLISHED and code != "lane-done"
        )
        if ends_session:
            self._end(code, reason, tell=False)
        else:
            self._lose(lane, code, reason)

    # Losses and ends.

    @property
    def _is_suspended(self) -> bool:
        return self.ended is None and self._was_up and not self._lanes.established()

    def _peer_lost_lane(self, epoch: int) -> None:
        if lane := self._lanes.all.get(epoch):
            self._lose(lane, "lane-lost", "the peer has lost the lane", cut=True)

    def _fail(self, lane: Lane, code: LaneCode, reason: str) -> None:
        """The peer broke the protocol on this lane."""
        if lane.phase is Phase.ESTABLISHED:
            self._end(code, reason, tell=True)
        elif lane.phase is Phase.HELLO:
            self._refuse(lane, Refusal(code, reason))

    def _lose(self, lane: Lane, code: LaneCode, reason: str, cut: bool = False) -> None:
        """Ends one lane; the session too when it was the first, or may not wait for another."""
        self._drop(lane, code, reason, cut)
        if not self._was_up:
            self._end(code, reason, tell=False)
            return
        self._resync.lane_lost(lane.epoch)
        other = self._lanes.last_heard()
        if other is not None:
            self._send_set(other, self._now)
        elif self._patience == 0:
            self._end("resume-timeout", reason, tell=True)

    def _drop(self, lane: Lane, code: LaneCode, reason: str, cut: bool) -> None:
        lane.phase = Phase.CLOSED
        lane.ready.clear()
        del self._lanes.all[lane.epoch]
        if not cut:
            self._last[lane.epoch] = lane
        self._pings.forget(lane)
        self._table.lane_lost(lane)
        self.events.append(LaneClosed(lane.epoch, code, reason, cut))

    def _end(self, code: LaneCode, reason: str, tell: bool) -> None:
        if self.ended is not None:
            return
        self.ended = SessionEnded(code, reason)
        for lane in list(self._lanes.all.values()):
            lane.control.clear()
            if tell:
                lane.send(frames.close(code, reason))
            self._drop(lane, code, reason, cut=False)
        for stream in list(self._table.all.values()):
            self._forget(stream, reason)
        self.events.append(self.ended)

    def _forget(self, stream: Stream, reason: str) -> None:
        if stream.phase is not StreamPhase.GONE:
            self._table.remove(stream)
            self.events.append(Reset(stream.id, "session-lost", reason))

    def _wall(self, now: float) -> int:
        return self._wall_us + round((now - self._started) * 1e6)
