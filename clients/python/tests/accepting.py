"""The other end of a session, for tests: it takes the lanes that a dialler dials."""

from __future__ import annotations

from routy.session.handshake import judge_hello, make_hello, proof
from routy.session.lane import Lane
from routy.session.options import SessionOptions
from routy.session.session import Session
from routy.wire import frames
from routy.wire.decoder import FrameDecoder
from routy.wire.messages import Hello, SessionRef, read_hello


class AcceptingSession(Session):
    """Admits lanes of one dialler; what a listener with many peers has to decide is not here."""

    def __init__(self, options: SessionOptions, secret: str, now: float, wall_us: int) -> None:
        super().__init__(options, now, wall_us)
        self.secret = secret
        self._admitting: dict[int, bytes] = {}

    def receive(self, now: float, number: int, data: bytes) -> None:
        if number in self._lanes.all:
            super().receive(now, number, data)
        else:
            self._admitting[number] = self._admitting.get(number, b"") + data

    def has_hello(self, number: int) -> bool:
        """Whether the whole HELLO of a lane is there."""
        return bool(list(FrameDecoder().feed(self._admitting.get(number, b""))))

    def admit(self, now: float, number: int, exporter: bytes) -> int:
        """Answers the HELLO that came on a lane."""
        [frame] = FrameDecoder().feed(self._admitting.pop(number))
        hello = read_hello(frame.payload)
        assert judge_hello(self.options, hello) is None
        lane = Lane(hello.session.epoch, exporter, deadline=now)
        lane.send(frames.hello(self._answer(now, lane, hello)))
        self._lanes.all[lane.epoch] = lane
        self._now = now
        self._join(now, lane, hello)
        self._handshake.secret = self.secret
        return lane.epoch

    def _answer(self, now: float, lane: Lane, hello: Hello) -> Hello:
        id, epoch, first = hello.session.id, lane.epoch, self._handshake.secret is None
        reference = SessionRef(id, epoch, secret=self.secret)
        if not first:
            theirs = proof(self.secret, "dialler", id, epoch, lane.exporter)
            assert hello.session.proof == theirs
            own = proof(self.secret, "acceptor", id, epoch, lane.exporter)
            reference = SessionRef(id, epoch, proof=own)
        return make_hello(self.options, reference, self._wall(now))
