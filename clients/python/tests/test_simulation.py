"""Two sessions over lanes that delay, cut up and break, by seeds, with a virtual clock.

Safety: what arrives is a prefix of what was written. Liveness: once faults are over, every stream
ends as it should, and nothing is left on either end.
"""

from __future__ import annotations

import random
import time
import unittest
from collections import deque
from dataclasses import dataclass, field

from routy.session.events import (
    Accepted,
    Data,
    Finished,
    HalfClosed,
    Incoming,
    LaneClosed,
    Reset,
)
from routy.session.options import Name, SessionOptions
from routy.session.session import Session
from routy.wire.messages import Accept, Open

from .accepting import AcceptingSession

#: As many seeds as come in this time; at least the first few.
SECONDS = 5.0
SEEDS_MIN = 20
FAULTY_SECONDS = 20.0
LIMIT_SECONDS = 200.0
STREAMS = 12
SECRET = "5" * 64


def pattern(id: int, by: str, start: int, count: int) -> bytes:
    """Bytes of one direction that are wrong anywhere else."""
    seed = id * 7 + (3 if by == "dialler" else 11)
    return bytes((seed + (start + at) * 31 + (start + at) // 251) % 256 for at in range(count))


@dataclass
class Half:
    """What one end does with one stream, and what it has seen."""

    size: int
    behind_reset: bool
    opened_here: bool
    open: bool = False
    written: int = 0
    said_end: bool = False
    got: int = 0
    undelivered: int = 0
    got_end: bool = False
    end_delivered: bool = False
    finished: bool = False
    reset: str | None = None


@dataclass
class Wire:
    """One direction of a lane: bytes and when they come."""

    parts: deque[tuple[float, bytes]] = field(default_factory=deque)


@dataclass
class Path:
    """A lane between the ends, as long as either believes in it."""

    exporter: bytes
    to: dict[str, Wire] = field(default_factory=lambda: {"acceptor": Wire(), "dialler": Wire()})
    broken: bool = False
    #: When an end notices that it broke; it may hear of it sooner, or by its heartbeat.
    notices: dict[str, float] = field(default_factory=dict)


class World:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        names = {"dialler": Name("acme", "red", "red1"), "acceptor": Name("acme", "gray", "gray1")}
        window = self.random.choice([0, 100, 8_192])
        options = {
            role: SessionOptions(
                own=names[role],
                peer=names["acceptor" if role == "dialler" else "dialler"],
                instance="1" * 32,
                session_id="2" * 32,
                role="dialler" if role == "dialler" else "acceptor",
                initial_window=window,
                stream_window=self.random.choice([1_000, 16_384]),
            )
            for role in names
        }
        self.ends: dict[str, Session] = {
            "dialler": Session(options["dialler"], 0.0, 10**15),
            "acceptor": AcceptingSession(options["acceptor"], SECRET, 0.0, 10**15),
        }
        self.paths: dict[int, Path] = {}
        self.halves: dict[tuple[str, int], Half] = {}
        self.lanes = self.random.choice([1, 2, 3])
        self.to_open = STREAMS
        self.cuts = 0

    @property
    def faulty(self) -> bool:
        return self.now < FAULTY_SECONDS

    def run(self) -> None:
        while self.now < LIMIT_SECONDS:
            self.now += self.random.choice([0.001, 0.01, 0.05])
            self._dial()
            self._act()
            self._break()
            for role in ("dialler", "acceptor"):
                self._carry(role)
            for role, session in self.ends.items():
                due = session.next_time()
                if due is not None and due <= self.now:
                    session.handle_time(self.now)
                self._events(role)
                self._flush(role)
            if not self.faulty and self.to_open == 0 and self._all_done():
                return
        raise AssertionError(f"not done: {self.halves}")

    def _all_done(self) -> bool:
        return all(session.streams.count == 0 for session in self.ends.values())

    # Lanes.

    def _dial(self) -> None:
        dialler = self.ends["dialler"]
        if len(dialler._lanes.all) < self.lanes and dialler.can_dial and self._chance(0.2):
            exporter = self.random.randbytes(32)
            self.paths[dialler.dial(self.now, exporter)] = Path(exporter)

    def _break(self) -> None:
        for path in self.paths.values():
            # The first lane has to come up: without it the session is over.
            may = self.faulty and self.ends["acceptor"].is_up and self.ends["dialler"].is_up
            if may and not path.broken and self._chance(0.004):
                path.broken = True
                self.cuts += 1
                for role in ("dialler", "acceptor"):
                    path.notices[role] = self.now + self.random.choice([0.0, 0.05, 1.0, 1e9])
        for number, path in self.paths.items():
            for role, when in list(path.notices.items()):
                if when <= self.now:
                    del path.notices[role]
                    self.ends[role].lane_closed(self.now, number, "broken")

    def _flush(self, role: str) -> None:
        other = "acceptor" if role == "dialler" else "dialler"
        for number, path in self.paths.items():
            data = self.ends[role].transmit(self.now, number, self.random.choice([1, 5_000]))
            while data and not path.broken:
                size = self.random.choice([1, 7, 100, 10_000])
                delay = self.random.choice([0.0, 0.01, 0.1])
                parts = path.to[other].parts
                soonest = parts[-1][0] if parts else 0.0
                parts.append((max(soonest, self.now + delay), data[:size]))
                data = data[size:]

    def _carry(self, role: str) -> None:
        session = self.ends[role]
        for number, path in self.paths.items():
            parts = path.to[role].parts
            if path.broken:
                parts.clear()
            while parts and parts[0][0] <= self.now:
                session.receive(self.now, number, parts.popleft()[1])
            if isinstance(session, AcceptingSession) and session.has_hello(number):
                session.admit(self.now, number, path.exporter)

    # Streams.

    def _half(self, opened_here: bool) -> Half:
        size = self.random.choice([0, 1, 500, 20_000])
        return Half(size, self._chance(0.2), opened_here)

    def _act(self) -> None:
        for role, session in self.ends.items():
            if session.is_up and self.to_open and self._chance(0.05):
                self.to_open -= 1
                self.halves[role, session.streams.open(Open("x"))] = self._half(True)
        for (role, id), half in self.halves.items():
            if half.finished or half.reset:
                continue
            session = self.ends[role]
            if not half.open and not half.opened_here and self._chance(0.2):
                session.streams.accept(id, Accept())
                half.open = True
            self._write(session, role, id, half)
            self._read(session, id, half)
            if self._chance(0.0003):
                session.streams.reset(id, "cancelled", "no more")
                half.reset = "here"

    def _write(self, session: Session, role: str, id: int, half: Half) -> None:
        if half.said_end or not (half.open or half.opened_here) or not self._chance(0.3):
            return
        count = min(half.size - half.written, self.random.choice([1, 300, 4_000]))
        session.streams.write(id, pattern(id, role, half.written, count))
        half.written += count
        if half.written == half.size:
            half.said_end = True
            if not half.behind_reset or self._chance(0.5):
                session.streams.end(id)
            if half.behind_reset:
                session.streams.reset(id, "connection-reset", "rude")
                half.reset = "behind" if not session.streams.has(id) else half.reset

    def _read(self, session: Session, id: int, half: Half) -> None:
        if half.undelivered and self._chance(0.5):
            count = self.random.randint(1, half.undelivered)
            half.undelivered -= count
            session.streams.delivered(self.now, id, count)
        elif half.got_end and not half.undelivered and not half.end_delivered:
            half.end_delivered = True
            session.streams.fin_delivered(id)

    def _events(self, role: str) -> None:
        other = "acceptor" if role == "dialler" else "dialler"
        events = self.ends[role].events
        while events:
            event = events.popleft()
            match event:
                case Incoming(id, _):
                    self.halves[role, id] = self._half(False)
                case Accepted(id, _):
                    self.halves[role, id].open = True
                case Data(id, data):
                    half = self.halves[role, id]
                    assert data == pattern(id, other, half.got, len(data)), "other bytes"
                    half.got += len(data)
                    half.undelivered += len(data)
                case HalfClosed(id):
                    half = self.halves[role, id]
                    assert half.got == self.halves[other, id].size, "an end before the end"
                    half.got_end = True
                case Finished(id):
                    self.halves[role, id].finished = True
                case Reset(id, code, _):
                    self._saw_reset(role, other, id, code)
                case LaneClosed(number, code, reason, cut):
                    lost = ("lane-lost", "heartbeat-timeout", "handshake-timeout", "lane-done")
                    assert code in lost, (code, reason)
                    if cut:
                        self.paths[number].broken = True
                case _:
                    assert "Ended" not in type(event).__name__, event

    def _saw_reset(self, role: str, other: str, id: int, code: str) -> None:
        half, theirs = self.halves[role, id], self.halves.get((other, id))
        half.reset = half.reset or code
        assert code in ("connection-reset", "cancelled"), code
        both_rude = half.behind_reset and half.said_end
        if code == "connection-reset" and not both_rude and half.open:
            assert theirs is not None and half.got == theirs.size, "a reset before its bytes"
            # What is left is delivered as it would be, so that it is answered.
            session = self.ends[role]
            if half.undelivered:
                session.streams.delivered(self.now, id, half.undelivered)
                half.undelivered = 0

    def check(self) -> None:
        for (role, id), half in self.halves.items():
            assert half.finished or half.reset, (role, id, half)
            if half.finished:
                other = "acceptor" if role == "dialler" else "dialler"
                assert half.got == self.halves[other, id].size, (role, id, half)

    def _chance(self, of_one: float) -> bool:
        return self.random.random() < of_one


class Simulation(unittest.TestCase):
    def test_streams_outlive_their_lanes_whatever_happens(self) -> None:
        began, seed, cuts = time.monotonic(), 0, 0
        while seed < SEEDS_MIN or time.monotonic() - began < SECONDS:
            seed += 1
            with self.subTest(seed=seed):
                world = World(seed)
                world.run()
                world.check()
                cuts += world.cuts
        self.assertGreater(cuts, seed, "too few lanes were cut to show anything")


if __name__ == "__main__":
    unittest.main()
