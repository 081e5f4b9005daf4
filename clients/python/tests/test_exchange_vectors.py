"""Whole sessions, frame for frame, both ends."""

from __future__ import annotations

import unittest
from typing import Any

from routy.session.options import Name, SessionOptions
from routy.session.session import Session
from routy.settings import Settings
from routy.wire.decoder import FrameDecoder
from routy.wire.json_object import write_json
from routy.wire.layout import Frame, FrameType
from routy.wire.messages import Accept, read_hello, read_open
from routy.wire.resume import StreamRecord, read_records

from .accepting import AcceptingSession
from .vectors import read_vectors

WALL_US = 1_700_000_000_000_000
VECTORS: Any = read_vectors("exchange.json")


class OneSetting(Settings):
    def texts(self) -> dict[str, str]:
        return {"heartbeat_interval": "5s"}


def options(role: str) -> SessionOptions:
    names = {
        each: Name(VECTORS[each]["fabric"], VECTORS[each]["site"], VECTORS[each]["node"])
        for each in ("dialler", "acceptor")
    }
    is_dialler = role == "dialler"
    return SessionOptions(
        own=names[role],
        peer=names["acceptor" if is_dialler else "dialler"],
        instance=VECTORS[role]["instance"],
        session_id=VECTORS["session"]["id"],
        settings=OneSetting(),
        role="dialler" if is_dialler else "acceptor",
        software="routy/0.1.0",
    )


def command(session: Session, call: list[Any]) -> None:
    exporters = VECTORS["exporters"]
    match call:
        case ["dial"]:
            number = 2 if session.streams.count else 1
            assert session.dial(0, bytes.fromhex(exporters[str(number)])) == number
        case ["admit", lane]:
            assert isinstance(session, AcceptingSession)
            assert session.admit(0, lane, bytes.fromhex(exporters[str(lane)])) == lane
        case ["laneLost", lane]:
            session.lane_closed(0, lane, "connection reset")
        case ["drain"]:
            session.drain()
        case ["open", request]:
            session.streams.open(read_open(write_json(request)))
        case ["accept", id]:
            session.streams.accept(id, Accept())
        case ["end", id]:
            session.streams.end(id)
        case ["finDelivered", id]:
            session.streams.fin_delivered(id)
        case ["write", id, text]:
            session.streams.write(id, text.encode())
        case ["delivered", id, count]:
            session.streams.delivered(0, id, count)
        case ["offer", names]:
            session.offer(names)
        case ["reset", id, code, reason]:
            session.streams.reset(id, code, reason)
        case ["close", code, reason]:
            session.close(code, reason)
        case _:
            raise AssertionError(f"unknown call {call}")


def without_credit(frame: Frame) -> Any:
    """How much credit an end gives is its own affair; everything else is fixed."""
    head: list[Any] = [frame.type.name, frame.flags, frame.stream]
    if frame.type is FrameType.HELLO:
        return [*head, read_hello(frame.payload).json() | {"initialWindow": 0}]
    if frame.type is FrameType.RESUME:
        fixed: list[Any] = []
        for record in read_records(frame.payload):
            if isinstance(record, StreamRecord):
                rest = (record.accepted, record.fin_received, record.fin_delivered)
                fixed.append((record.id, *rest, record.received, record.delivered))
            else:
                fixed.append((record,))
        return [*head, fixed]
    if frame.type in (FrameType.OPEN, FrameType.ACCEPT, FrameType.CREDIT):
        return [*head, frame.payload]
    return [*head, frame.offset, frame.payload]


class ExchangeVectors(unittest.TestCase):
    maxDiff = None

    def test_sessions_go_as_the_vectors_say(self) -> None:
        self.assertGreater(len(VECTORS["exchanges"]), 0)
        for exchange in VECTORS["exchanges"]:
            with self.subTest(exchange["name"]):
                self._play(exchange["steps"])

    def _play(self, steps: list[Any]) -> None:
        secret = VECTORS["session"]["secret"]
        ends: dict[str, Session] = {
            "dialler": Session(options("dialler"), 0, WALL_US),
            "acceptor": AcceptingSession(options("acceptor"), secret, 0, WALL_US),
        }
        compared = 0
        for step in steps:
            if "call" in step:
                command(ends[step["at"]], step["call"])
                continue
            data = bytes.fromhex(step["hex"])
            sent = ends[step["from"]].transmit(0, step["lane"], 1_000_000)
            self.assertEqual(
                [without_credit(each) for each in FrameDecoder().feed(sent)],
                [without_credit(each) for each in FrameDecoder().feed(data)],
                step["means"],
            )
            compared += 1
            if not step.get("lost"):
                other = "acceptor" if step["from"] == "dialler" else "dialler"
                ends[other].receive(0, step["lane"], data)
        self.assertGreater(compared, 0)
        for session in ends.values():
            self.assertIsNotNone(session.ended)
            self.assertEqual(session.streams.count, 0)


if __name__ == "__main__":
    unittest.main()
