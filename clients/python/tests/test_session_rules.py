"""What a session refuses, and with which words."""

from __future__ import annotations

import dataclasses
import unittest
from collections.abc import Sequence

from routy.session.events import LaneClosed
from routy.session.handshake import make_hello
from routy.session.options import Name, SessionOptions
from routy.session.session import Session
from routy.settings import Settings
from routy.wire import frames
from routy.wire.decoder import FrameDecoder
from routy.wire.json_object import write_json
from routy.wire.layout import FLAG, Frame, FrameType
from routy.wire.messages import Accept, Hello, Open, SessionRef
from routy.wire.resume import Dead, Ended, Opened, Record, Seen, StreamRecord, write_set

RED, GRAY = Name("acme", "red", "red1"), Name("acme", "gray", "gray1")
SESSION, EXPORTER = "ab" * 16, bytes(range(32))
OPTIONS = SessionOptions(
    own=RED, peer=GRAY, instance="1" * 32, session_id=SESSION, initial_window=100
)
THEIRS = dataclasses.replace(OPTIONS, own=GRAY, peer=RED, role="acceptor")
FIRST = SessionRef(SESSION, 1, secret="5" * 64)


def hello(session: SessionRef = FIRST, options: SessionOptions = THEIRS) -> Hello:
    return make_hello(options, session, 0)


def established() -> Session:
    """A dialler whose first lane is up, and that has opened stream 1 and sent 5 bytes of it."""
    session = Session(OPTIONS, 0.0, 0)
    session.dial(0.0, EXPORTER)
    send(session, frames.hello(hello()))
    session.streams.open(Open("echo"))
    session.streams.write(1, b"12345")
    session.transmit(0.0, 1)
    session.events.clear()
    return session


def send(session: Session, *sent: Frame, lane: int = 1) -> None:
    session.receive(0.0, lane, b"".join(each.encode() for each in sent))


def closes(session: Session, lane: int = 1) -> list[tuple[str, str]]:
    """Code and reason of each CLOSE that is to be sent."""
    sent = FrameDecoder().feed(session.transmit(0.0, lane))
    return [frames.read_close(each.payload) for each in sent if each.type is FrameType.CLOSE]


ACCEPTED = frames.accept(1, 100, Accept())
OPENED = frames.open_stream(2, 100, Open("x"))


def resume(*records: Record) -> list[Frame]:
    return write_set(records)


def stream(id: int, **other: int) -> StreamRecord:
    known = {"received": 0, "delivered": 0, "limit": 100} | other
    return StreamRecord(id, False, False, False, **known)


class Refused(unittest.TestCase):
    def check(self, code: str, *sent: Frame | Sequence[Frame], answer: str = "") -> None:
        session = established()
        for each in sent:
            send(session, *([each] if isinstance(each, Frame) else each))
        [(said, reason)] = closes(session)
        self.assertEqual(said, answer or "protocol-error", reason)
        self.assertTrue(reason.startswith(f"{code}: "), reason)
        assert session.ended is not None
        self.assertEqual((session.ended.code, session.ended.reason), (said, reason))

    def test_ids(self) -> None:
        self.check("stream-id", frames.data(2, 0, b"x"))
        self.check("stream-id", frames.credit(3, 0, 0, False))
        self.check("stream-id", frames.open_stream(1, 0, Open("x")))
        self.check("stream-id", frames.reset(3, 0, "cancelled", ""))

    def test_phases(self) -> None:
        self.check("stream-state", frames.data(1, 0, b"x"))
        self.check("stream-state", frames.credit(1, 0, 0, False))
        self.check("stream-state", OPENED, frames.credit(2, 0, 0, False))
        self.check("stream-state", OPENED, frames.accept(2, 0, Accept()))
        self.check("frame-order", frames.hello(hello()))

    def test_what_an_acceptor_picks(self) -> None:
        self.check("frame-payload", frames.accept(1, 0, Accept(version=2)))
        self.check("frame-payload", frames.accept(1, 0, Accept(capabilities=("fast",))))

    def test_credit(self) -> None:
        self.check("credit-exceeded", OPENED, frames.data(2, 99, b"xx"))
        self.check("credit-exceeded", ACCEPTED, frames.credit(1, 0, 6, False))

    def test_sizes(self) -> None:
        self.check("final-size", OPENED, frames.fin(2, 3), frames.data(2, 0, b"four"))
        self.check("final-size", OPENED, frames.data(2, 5, b"x"), frames.fin(2, 5))
        self.check("final-size", OPENED, frames.fin(2, 3), frames.fin(2, 4))
        self.check("final-size", OPENED, frames.fin(2, 101))
        self.check("final-size", OPENED, frames.fin(2, 3), frames.reset(2, 2, "cancelled", ""))
        self.check("final-size", OPENED, frames.reset(2, 101, "cancelled", ""))
        self.check("final-size", ACCEPTED, frames.credit(1, 0, 5, True))
        gone = frames.reset(1, 9, "connection-reset", "")
        self.check("final-size", ACCEPTED, gone, frames.data(1, 8, b"xx"))
        self.check("final-size", ACCEPTED, gone, frames.reset(1, 10, "cancelled", ""))

    def test_runs_apart(self) -> None:
        apart = [frames.data(1, at, b"x") for at in range(1, 200, 2)]
        self.check("reassembly", ACCEPTED, apart)

    def test_resume(self) -> None:
        self.check("resume", resume(Seen(1)))
        self.check("resume", resume(Opened(0, 0), Opened(0, 0)))
        self.check("resume", resume(Opened(3, 0)))
        self.check("resume", resume(Opened(2, 2)))
        self.check("resume", resume(Opened(0, 0), Seen(3)))
        self.check("resume", resume(Opened(0, 0), Dead(0)))
        self.check("resume", resume(Opened(0, 0), Dead(1)))
        self.check("resume", resume(Opened(0, 2), stream(4)))
        self.check("resume", resume(Opened(0, 2), stream(3)))
        self.check("resume", resume(Opened(0, 2), Ended(0, None)))
        self.check("resume", Frame(FrameType.RESUME, b"", flags=FLAG))
        unknown = Frame(FrameType.RESUME, b"\x06")
        self.check("resume", unknown, answer="version-mismatch")

    def test_what_another_version_may_say(self) -> None:
        session = established()
        session.receive(0.0, 1, b"\x7f" + bytes(23))
        self.assertEqual(closes(session)[0][0], "version-mismatch")

    def test_offers(self) -> None:
        self.check("frame-payload", frames.offers(1, [], goes_on=True))
        page = frames.offers(1, ["x"] * 4_000, goes_on=True)
        self.check("frame-payload", [page] * 9)


class FirstLane(unittest.TestCase):
    def check(self, code: str, words: str, answer: Frame) -> None:
        session = Session(OPTIONS, 0.0, 0)
        session.dial(0.0, EXPORTER)
        session.transmit(0.0, 1)
        send(session, answer)
        [(said, reason)] = closes(session)
        self.assertEqual(said, code)
        self.assertIn(words, reason)
        assert session.ended is not None
        self.assertEqual((session.ended.code, session.ended.reason), (code, reason))

    def test_hello_of_other_versions_is_judged_by_these_alone(self) -> None:
        later = Frame(FrameType.HELLO, write_json({"versions": [2, 3], "name": {}}))
        told = "session protocol: version 1 here, versions 2, 3 at the peer"
        self.check("version-mismatch", told, later)

    def test_another_name_than_the_certificate_says(self) -> None:
        other = dataclasses.replace(THEIRS, own=Name("acme", "gray", "gray2"))
        self.check("identity-mismatch", "gray/gray2", frames.hello(hello(options=other)))

    def test_other_settings(self) -> None:
        other = dataclasses.replace(THEIRS, settings=Settings(heartbeat_interval_ms=3_000))
        told = "heartbeat_interval: 5s here, 3s at gray/gray1"
        self.check("settings-mismatch", told, frames.hello(hello(options=other)))

    def test_an_answer_for_another_session_or_without_a_secret(self) -> None:
        for reference in (SessionRef("cd" * 16, 1, "5" * 64), SessionRef(SESSION, 1)):
            self.check("protocol-error", "", frames.hello(hello(reference)))

    def test_another_frame_than_hello(self) -> None:
        self.check("protocol-error", "frame-order", frames.ping(1, 0))

    def test_no_answer_at_all(self) -> None:
        session = Session(OPTIONS, 0.0, 0)
        session.dial(0.0, EXPORTER)
        self.assertEqual(session.next_time(), 10.0)
        session.handle_time(10.0)
        assert session.ended is not None
        self.assertEqual(session.ended.code, "handshake-timeout")


class FurtherLane(unittest.TestCase):
    def test_a_wrong_proof_ends_that_lane_alone(self) -> None:
        session = established()
        session.dial(0.0, EXPORTER)
        wrong = SessionRef(SESSION, 2, proof="0" * 64)
        send(session, frames.hello(hello(wrong)), lane=2)
        self.assertEqual(closes(session, lane=2)[0][0], "lane-done")
        [event] = [each for each in session.events if isinstance(each, LaneClosed)]
        self.assertEqual((event.lane, event.code), (2, "not-authorized"))
        self.assertIsNone(session.ended)
        # The acceptor may have held it for established, so it is told.
        sent = [each.type for each in FrameDecoder().feed(session.transmit(0.0, 1))]
        self.assertEqual(sent, [FrameType.RESUME, FrameType.PING])

    def test_a_silent_lane_is_dead_after_three_heartbeats(self) -> None:
        session = established()
        for now in (5.0, 10.0):
            session.handle_time(now)
            self.assertEqual(session.established_lanes, 1)
        session.handle_time(15.0)
        self.assertEqual(session.established_lanes, 0)
        session.handle_time(59.0)
        self.assertIsNone(session.ended)
        session.handle_time(60.0)
        assert session.ended is not None
        self.assertEqual(session.ended.code, "resume-timeout")


if __name__ == "__main__":
    unittest.main()
