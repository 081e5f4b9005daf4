"""Bytes that come twice, out of order and over one another."""

from __future__ import annotations

import random
import unittest

from routy.session.buffers import Reassembly, SendBuffer

WHOLE = random.Random(0).randbytes(3_000)


class Received(unittest.TestCase):
    def test_pieces_in_any_order_that_overlap_give_each_byte_once(self) -> None:
        for seed in range(200):
            pick = random.Random(seed)
            into, got = Reassembly(), b""
            while len(got) < len(WHOLE):
                start = pick.randrange(len(WHOLE))
                end = min(len(WHOLE), start + pick.choice([1, 50, 900]))
                # Now and then what is missing, so that it ends.
                start = into.received if pick.random() < 0.1 else start
                got += into.take(start, WHOLE[start : max(start, end)])
                self.assertEqual(into.received, len(got))
                self.assertGreaterEqual(into.top, into.received)
            self.assertEqual(got, WHOLE)

    def test_the_first_of_two_bytes_for_one_place_counts(self) -> None:
        into = Reassembly()
        self.assertEqual(into.take(2, b"CD"), b"")
        self.assertEqual(into.take(1, b"bcde"), b"")
        self.assertEqual(into.take(0, b"ab"), b"abCDe")


class Sent(unittest.TestCase):
    def test_what_was_not_received_is_sent_again_and_what_was_delivered_is_forgotten(self) -> None:
        out = SendBuffer()
        out.write(b"0123456789")
        self.assertEqual(out.take(6), (0, b"012345"))
        self.assertTrue(out.acknowledge(2))
        self.assertFalse(out.acknowledge(1))
        out.rewind(4)
        self.assertEqual((len(out), out.end, out.sent), (8, 10, 6))
        self.assertEqual(out.take(100), (4, b"456789"))


if __name__ == "__main__":
    unittest.main()
