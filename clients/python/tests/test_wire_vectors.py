"""Frames byte for byte: those that are good, those that are taken, those that are refused."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

from routy.wire import frames
from routy.wire.decoder import FrameDecoder
from routy.wire.errors import ProtocolError
from routy.wire.json_object import write_json
from routy.wire.layout import FLAG, HEADER_BYTES, Frame, FrameType
from routy.wire.messages import read_accept, read_hello, read_offers, read_open
from routy.wire.resume import (
    Dead,
    Ended,
    Opened,
    Record,
    Seen,
    StreamRecord,
    read_records,
    write_set,
)

from .vectors import vector_list

Meaning = dict[str, Any]


def record_json(record: Record) -> Meaning:
    match record:
        case Opened(seen, opened):
            return {"kind": "opened", "seen": seen, "opened": opened}
        case Dead(epoch):
            return {"kind": "dead", "epoch": epoch}
        case Seen(id):
            return {"kind": "seen", "id": id}
        case Ended(id, code):
            return {"kind": "ended", "id": id, "code": code}
        case StreamRecord():
            return {
                "kind": "stream",
                "id": record.id,
                "open": record.accepted,
                "finReceived": record.fin_received,
                "finDelivered": record.fin_delivered,
                "received": record.received,
                "delivered": record.delivered,
                "limit": record.limit,
            }


def record_of(json: Meaning) -> Record:
    match json["kind"]:
        case "opened":
            return Opened(json["seen"], json["opened"])
        case "dead":
            return Dead(json["epoch"])
        case "seen":
            return Seen(json["id"])
        case "ended":
            return Ended(json["id"], json["code"])
    return StreamRecord(
        json["id"],
        json["open"],
        json["finReceived"],
        json["finDelivered"],
        json["received"],
        json["delivered"],
        json["limit"],
    )


def _coded(read: Callable[[bytes], tuple[str, str]]) -> Callable[[bytes], Meaning]:
    return lambda payload: dict(zip(("code", "reason"), read(payload), strict=True))


def _numbers(*names: str) -> Callable[[bytes], Meaning]:
    return lambda payload: dict(zip(names, frames.read_numbers(payload), strict=True))


READERS: dict[FrameType, Callable[[bytes], Meaning]] = {
    FrameType.HELLO: lambda payload: {"json": read_hello(payload).json()},
    FrameType.CLOSE: _coded(frames.read_close),
    FrameType.PING: _numbers("clockUs"),
    FrameType.PONG: _numbers("pingClockUs", "receivedUs", "sentUs"),
    FrameType.OFFERS: lambda payload: {"json": read_offers(payload)},
    FrameType.GOAWAY: lambda _: {},
    FrameType.OPEN: lambda payload: {"json": read_open(payload).json()},
    FrameType.ACCEPT: lambda payload: {"json": read_accept(payload).json()},
    FrameType.DATA: lambda payload: {"payload": payload.hex()},
    FrameType.FIN: lambda _: {},
    FrameType.RESET: _coded(frames.read_reset),
    FrameType.CREDIT: _numbers("delivered"),
    FrameType.RESUME: lambda payload: {
        "records": [record_json(each) for each in read_records(payload)]
    },
}


def meaning_of(frame: Frame) -> Meaning:
    head = {
        "type": frame.type.name,
        "flags": frame.flags,
        "stream": frame.stream,
        "offset": frame.offset,
    }
    return head | READERS[frame.type](frame.payload)


def decode(data: bytes) -> list[Meaning]:
    decoder = FrameDecoder()
    meanings = [meaning_of(frame) for frame in decoder.feed(data)]
    assert decoder.idle
    return meanings


def encode(meaning: Meaning) -> Frame:
    stream, offset, flags = meaning["stream"], meaning["offset"], meaning["flags"]
    match meaning["type"]:
        case "CLOSE":
            return frames.close(meaning["code"], meaning["reason"])
        case "PING":
            return frames.ping(offset, meaning["clockUs"])
        case "PONG":
            clocks = meaning["pingClockUs"], meaning["receivedUs"], meaning["sentUs"]
            return frames.pong(offset, *clocks)
        case "GOAWAY":
            return frames.goaway()
        case "DATA":
            return frames.data(stream, offset, bytes.fromhex(meaning["payload"]))
        case "FIN":
            return frames.fin(stream, offset)
        case "RESET":
            return frames.reset(stream, offset, meaning["code"], meaning["reason"])
        case "CREDIT":
            return frames.credit(stream, offset, meaning["delivered"], bool(flags))
        case "RESUME":
            [frame] = write_set(record_of(each) for each in meaning["records"])
            # The writer alone knows which frame is the last; here it is the only one.
            return Frame(frame.type, frame.payload, flags=flags)
        case "OFFERS":
            return frames.offers(offset, meaning["json"], bool(flags))
    return Frame(FrameType[meaning["type"]], write_json(meaning["json"]), stream, offset, flags)


class WireVectors(unittest.TestCase):
    def test_frames_decode_to_what_they_mean_and_encode_to_the_same_bytes(self) -> None:
        for vector in vector_list("frames.json"):
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["hex"])
                self.assertEqual(decode(data), [vector["frame"]])
                self.assertEqual(encode(vector["frame"]).encode().hex(), vector["hex"])

    def test_frames_are_the_same_however_they_are_cut(self) -> None:
        for vector in vector_list("frames.json"):
            with self.subTest(vector["name"]):
                decoder = FrameDecoder()
                data = bytes.fromhex(vector["hex"])
                found = [
                    frame for at in range(len(data)) for frame in decoder.feed(data[at : at + 1])
                ]
                self.assertEqual([meaning_of(each) for each in found], [vector["frame"]])

    def test_frames_that_a_sender_should_not_make_are_taken(self) -> None:
        for vector in vector_list("taken-frames.json"):
            with self.subTest(vector["name"]):
                self.assertEqual(decode(bytes.fromhex(vector["hex"])), [vector["frame"]])
                self.assertNotEqual(encode(vector["frame"]).encode().hex(), vector["hex"])

    def test_bad_frames_are_refused_with_their_code(self) -> None:
        for vector in vector_list("bad-frames.json"):
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["hex"])
                if vector["by"] == "header":
                    self.assertEqual(len(data), HEADER_BYTES)
                with self.assertRaises(ProtocolError) as caught:
                    decode(data)
                self.assertEqual(caught.exception.code, vector["code"])

    def test_a_long_set_of_records_goes_over_several_frames(self) -> None:
        records: list[Record] = [Opened(0, 0), *(Seen(id) for id in range(2, 40_002, 2))]
        written = write_set(records)
        self.assertGreater(len(written), 1)
        self.assertEqual([each.flags for each in written], [0] * (len(written) - 1) + [FLAG])
        self.assertEqual([r for each in written for r in read_records(each.payload)], records)

    def test_a_long_list_of_offers_goes_over_several_pages(self) -> None:
        names = [f"service-{number}" for number in range(5_000)]
        pages = frames.offers_pages(7, names)
        self.assertEqual([each.flags for each in pages], [FLAG] * (len(pages) - 1) + [0])
        decoded = [name for page in pages for name in read_offers(page.payload)]
        self.assertEqual(decoded, names)
        self.assertTrue(all(meaning_of(page) in decode(page.encode()) for page in pages))


if __name__ == "__main__":
    unittest.main()
