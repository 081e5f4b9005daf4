"""A session over real lanes: the one place where bytes, time and events meet."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping

from ..session.events import (
    Accepted,
    Acknowledged,
    Data,
    Event,
    Finished,
    GoingAway,
    HalfClosed,
    Incoming,
    LaneClosed,
    LaneUp,
    Offers,
    Reset,
    SessionEnded,
)
from ..session.options import SessionOptions
from ..session.session import Session
from ..transport.tls import TlsLane
from ..wire.errors import LaneCode, StreamCode
from ..wire.messages import Open
from .services import Service, serve
from .streams import Stream

_CLOSE_SECONDS = 2.0


class Link:
    """Owns a session, its lanes and its streams. After whatever happens a round is run."""

    def __init__(self, options: SessionOptions, services: Mapping[str, Service]) -> None:
        self._loop = asyncio.get_running_loop()
        self._services = services
        self.session = Session(options, self._loop.time(), time.time_ns() // 1_000)
        self.session.offer(services)
        self._lanes: dict[int, TlsLane] = {}
        self._numbers: dict[TlsLane, int] = {}
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._round: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.offers: tuple[str, ...] | None = None
        self.lanes_lost = 0
        #: Set while something has changed since somebody looked: lanes, offers, the end.
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        self._was_up = False

    # Lanes.

    def join(self, lane: TlsLane) -> int:
        """Lets a connection be the session's next lane."""
        number = self.session.dial(self._now(), lane.exporter)
        self._lanes[number] = lane
        self._numbers[lane] = number
        lane.attach(self)
        self._touch()
        return number

    async def wait_up(self) -> None:
        """Returns when the first lane is established, or has come to nothing."""
        while not self._was_up and not self.over.is_set():
            self.changed.clear()
            await self.changed.wait()

    @property
    def why_over(self) -> str:
        """Why the session ended."""
        end = self.session.ended
        return f"{end.code}: {end.reason}" if end else "the session goes on"

    def has_lane(self, number: int) -> bool:
        """Whether the lane is not closed."""
        return number in self._lanes

    @property
    def lane_count(self) -> int:
        """Lanes that there are, established or not."""
        return len(self._lanes)

    def lane_received(self, lane: TlsLane, data: bytes) -> None:
        """Bytes came on a lane."""
        if (number := self._numbers.get(lane)) is not None:
            self.session.receive(self._now(), number, data)
            self._touch()

    def lane_writable(self, lane: TlsLane) -> None:
        """A lane that was full takes bytes again."""
        self._touch()

    def lane_ended(self, lane: TlsLane, reason: str) -> None:
        """A lane's connection is over."""
        if (number := self._numbers.get(lane)) is not None:
            self.session.lane_closed(self._now(), number, reason)
            self._touch()

    # Streams.

    def open(self, request: Open) -> Stream:
        """Opens a stream. Raises StreamRefused when there are too many."""
        stream = Stream(self, self.session.streams.open(request), request)
        self._streams[stream.id] = stream
        self._touch()
        return stream

    def write(self, id: int, data: bytes) -> None:
        """Takes bytes to send."""
        self.session.streams.write(id, data)
        self._touch()

    def end(self, id: int) -> None:
        """Half-closes."""
        self.session.streams.end(id)
        self._touch()

    def reset(self, id: int, code: StreamCode, reason: str) -> None:
        """Gives a stream up."""
        self.session.streams.reset(id, code, reason)
        if not self.session.streams.has(id):
            self._streams.pop(id, None)
        self._touch()

    def delivered(self, id: int, count: int) -> None:
        """Bytes were read."""
        self.session.streams.delivered(self._now(), id, count)
        self._touch()

    def fin_delivered(self, id: int) -> None:
        """The end was read."""
        self.session.streams.fin_delivered(id)
        self._touch()

    def unacknowledged(self, id: int) -> int:
        """Bytes under way."""
        return self.session.streams.unacknowledged(id)

    # The whole.

    async def close(self, code: LaneCode, reason: str) -> None:
        """Ends session, lanes and handlers."""
        self.session.close(code, reason)
        lanes = list(self._lanes.values())
        self._run()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                for lane in lanes:
                    await lane.lost.wait()
        except TimeoutError:
            for lane in lanes:
                lane.cut()

    def _now(self) -> float:
        return self._loop.time()

    def _touch(self) -> None:
        if self._round is None:
            self._round = self._loop.call_soon(self._run)

    def _run(self) -> None:
        """Events first, then bytes of each lane, then the timer."""
        if self._round is not None:
            self._round.cancel()
            self._round = None
        session = self.session
        while session.events:
            self._tell(session.events.popleft())
        for number, lane in self._lanes.items():
            while not lane.is_full and (data := session.transmit(self._now(), number)):
                lane.write(data)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.session.next_time()
        if due is not None:
            self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.session.handle_time(self._now())
        self._run()

    def _tell(self, event: Event) -> None:
        match event:
            case Data(id, data):
                if stream := self._streams.get(id):
                    stream.take(data)
            case Acknowledged(id):
                if stream := self._streams.get(id):
                    stream.writable()
            case HalfClosed(id):
                if stream := self._streams.get(id):
                    stream.take_end()
            case Accepted(id, answer):
                if stream := self._streams.get(id):
                    stream.accepted(answer)
            case Finished(id):
                if stream := self._streams.pop(id, None):
                    stream.finished()
            case Reset(id, code, reason):
                if stream := self._streams.pop(id, None):
                    stream.failed(code, reason)
            case Incoming(id, request):
                self._serve(id, request)
            case _:
                self._tell_of_session(event)

    def _tell_of_session(self, event: Event) -> None:
        match event:
            case LaneUp():
                self._was_up = True
            case LaneClosed(number, _, _, cut):
                self._end_lane(number, cut)
            case Offers(names):
                self.offers = names
            case SessionEnded():
                self.over.set()
            case GoingAway():
                pass
        self.changed.set()

    def _end_lane(self, number: int, cut: bool) -> None:
        self.lanes_lost += 1
        lane = self._lanes.pop(number)
        del self._numbers[lane]
        if cut:
            lane.cut()
            return
        if last := self.session.transmit(self._now(), number):
            lane.write(last)
        lane.close()

    def _serve(self, id: int, request: Open) -> None:
        service = self._services.get(request.service)
        if service is None:
            name = request.service
            self.session.streams.reset(id, "unknown-service", f"no service {name} here")
            return
        answer = service.judge(request)
        if isinstance(answer, tuple):
            self.session.streams.reset(id, *answer)
            return
        self.session.streams.accept(id, answer)
        stream = Stream(self, id, request)
        stream.answer = answer
        self._streams[id] = stream
        task = self._loop.create_task(serve(service, stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def random_id() -> str:
    """32 lowercase hex digits."""
    return secrets.token_hex(16)
