"""A stream as programs see it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..wire.errors import StreamCode
from ..wire.messages import Accept, Open

if TYPE_CHECKING:
    from .link import Link

#: Bytes of one stream that wait for the peer to pass them on, before `write` waits.
_UNACKNOWLEDGED_MAX = 4 * 1_048_576
_SLICE_BYTES = 262_144


class StreamReset(ConnectionError):
    """The stream was reset. `code` says why, by the table of stream codes."""

    def __init__(self, code: StreamCode, reason: str) -> None:
        super().__init__(f"{code}: {reason}" if reason else code)
        self.code: StreamCode = code
        self.reason = reason


class Stream:
    """Bytes both ways, each direction with its own end. It outlives the lanes that carry it.

    As a context it ends like a socket that is closed: what was written goes out, and the peer is
    reset behind it unless it has ended its direction, too. An exception resets it at once.
    """

    def __init__(self, link: Link, id: int, request: Open) -> None:
        self._link = link
        self.id = id
        #: What it was opened for.
        self.request = request
        #: Version and capabilities that the acceptor picked; None before it has.
        self.answer: Accept | None = None
        self._received: deque[bytes] = deque()
        self._half_closed = False
        self._at_end = False
        self._ended = False
        self._failure: StreamReset | None = None
        self._finished = False
        self._changed = asyncio.Event()

    async def read(self, count: int = 65_536) -> bytes:
        """Bytes, at most so many; none at the peer's half-close. Raises StreamReset."""
        while not self._received:
            if self._half_closed or self._finished:
                self._reach_end()
                return b""
            self._check()
            await self._wait()
        data = self._received.popleft()
        if len(data) > count:
            self._received.appendleft(data[count:])
            data = data[:count]
        self._link.delivered(self.id, len(data))
        if not self._received and self._half_closed:
            self._reach_end()
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes all bytes, and waits while too many are under way. Raises StreamReset."""
        if self._ended:
            raise RuntimeError("the stream was half-closed: nothing can be written behind that")
        view = memoryview(data).cast("B")
        while True:
            self._check()
            if not view:
                return
            if self._link.unacknowledged(self.id) < _UNACKNOWLEDGED_MAX:
                self._link.write(self.id, bytes(view[:_SLICE_BYTES]))
                view = view[_SLICE_BYTES:]
            else:
                await self._wait()

    def end(self) -> None:
        """Half-closes: the peer reads all that was written, then the end."""
        self._ended = True
        self._link.end(self.id)

    def reset(self, code: StreamCode = "cancelled", reason: str = "") -> None:
        """Gives it up in both directions, or with `connection-reset` behind what was written."""
        if not self._finished and self._failure is None:
            self._failure = StreamReset(code, reason or "reset here")
            self._link.reset(self.id, code, reason)
            self._changed.set()

    async def wait_finished(self) -> None:
        """Returns when both directions have ended and both ends know. Raises StreamReset."""
        while not self._finished:
            self._check()
            await self._wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.reset("cancelled", "the other end failed")
            return
        self.end()
        if not self._at_end:
            self.reset("connection-reset", "closed before the end was read")

    # What the link tells.

    def take(self, data: bytes) -> None:
        """Bytes came."""
        self._received.append(data)
        self._changed.set()

    def take_end(self) -> None:
        """The peer has half-closed."""
        self._half_closed = True
        self._changed.set()

    def accepted(self, answer: Accept) -> None:
        """The peer has accepted."""
        self.answer = answer
        self._changed.set()

    def writable(self) -> None:
        """There may be room again."""
        self._changed.set()

    def finished(self) -> None:
        """Both directions have ended."""
        self._finished = True
        self._changed.set()

    def failed(self, code: StreamCode, reason: str) -> None:
        """It was reset. What came before can be read if it is behind its bytes."""
        if self._failure is None:
            self._failure = StreamReset(code, reason)
        if code != "connection-reset":
            self._received.clear()
            self._half_closed = self._at_end
        self._changed.set()

    async def wait_accepted(self) -> None:
        """Returns when the peer has accepted. Raises StreamReset."""
        while self.answer is None:
            self._check()
            await self._wait()

    def _reach_end(self) -> None:
        if not self._at_end:
            self._at_end = True
            self._link.fin_delivered(self.id)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
