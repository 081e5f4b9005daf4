"""Bytes of one direction of a stream, by their absolute offsets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from ..wire.errors import ProtocolError


class SendBuffer:
    """Bytes from the first that the peer has not delivered to the last that was written."""

    def __init__(self) -> None:
        self.base = 0
        #: Where sending goes on.
        self.next = 0
        #: Up to where bytes were ever sent.
        self.sent = 0
        self._bytes = bytearray()

    @property
    def end(self) -> int:
        """How many bytes were written in all."""
        return self.base + len(self._bytes)

    def __len__(self) -> int:
        return len(self._bytes)

    def write(self, data: bytes) -> None:
        """Appends bytes."""
        self._bytes += data

    def take(self, count: int) -> tuple[int, bytes]:
        """The next bytes to send, at most so many, and their offset."""
        offset = self.next
        start = offset - self.base
        data = bytes(memoryview(self._bytes)[start : start + count])
        self.next += len(data)
        self.sent = max(self.sent, self.next)
        return offset, data

    def acknowledge(self, delivered: int) -> bool:
        """Forgets what was delivered. Whether that was news."""
        assert delivered <= self.sent, "more was acknowledged than was sent"
        if delivered <= self.base:
            return False
        del self._bytes[: delivered - self.base]
        self.base = delivered
        self.next = max(self.next, delivered)
        return True

    def rewind(self, received: int) -> None:
        """Sending goes on at the first byte that the peer has not received."""
        assert self.base <= received <= self.sent, "rewound to where no bytes are"
        self.next = received


@dataclass(slots=True)
class _Run:
    start: int
    data: bytearray

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class Reassembly:
    """Bytes that arrived, in order; those above a gap are kept until it is filled."""

    def __init__(self) -> None:
        #: Up to where all bytes arrived.
        self.received = 0
        # In order; between two of them at least one byte is missing.
        self._runs: list[_Run] = []

    @property
    def top(self) -> int:
        """The end of the last byte that arrived."""
        return self._runs[-1].end if self._runs else self.received

    def take(self, offset: int, data: bytes) -> bytes:
        """Takes what came; gives what is in order now. Raises ProtocolError `reassembly`."""
        if offset + len(data) <= self.received:
            return b""
        if offset > self.received:
            self._keep(offset, data)
            return b""
        ready = data[self.received - offset :]
        self.received += len(ready)
        if not self._runs:
            return ready
        return ready + self._join()

    def _join(self) -> bytes:
        """What was kept and is in order now."""
        joined = b""
        while self._runs and self._runs[0].start <= self.received:
            run = self._runs.pop(0)
            fresh = bytes(run.data[max(0, self.received - run.start) :])
            joined += fresh
            self.received += len(fresh)
        return joined

    def _keep(self, start: int, data: bytes) -> None:
        end = start + len(data)
        first = bisect_left(self._runs, start, key=lambda run: run.end)
        last = bisect_right(self._runs, end, key=lambda run: run.start)
        touched = self._runs[first:last]
        if len(touched) == 1 and touched[0].start <= start:
            touched[0].data += data[touched[0].end - start :]
        else:
            self._runs[first:last] = [_merge(start, data, touched)]
        span = self._runs[-1].end - self._runs[0].start
        if len(self._runs) > 64 + span // 8_192:
            raise ProtocolError("reassembly", f"{len(self._runs)} runs over {span} bytes")


def _merge(start: int, data: bytes, touched: list[_Run]) -> _Run:
    """One run of all; of bytes that came twice the first ones count."""
    if not touched:
        return _Run(start, bytearray(data))
    begin = min(start, touched[0].start)
    end = max(start + len(data), touched[-1].end)
    merged = bytearray(end - begin)
    merged[start - begin : start - begin + len(data)] = data
    for run in touched:
        merged[run.start - begin : run.end - begin] = run.data
    return _Run(begin, merged)
