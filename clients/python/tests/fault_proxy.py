"""A TCP proxy in front of a node that cuts connections."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class FaultProxy:
    """Relays connections to a port, counts their bytes, and cuts all or the oldest of them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._pairs: list[list[asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._passed = asyncio.Condition()
        self.bytes_passed = 0
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def open_connections(self) -> int:
        """Connections that are not cut."""
        return len(self._pairs)

    def cut(self, count: int | None = None) -> int:
        """Resets the oldest connections, or all. How many there were."""
        victims = self._pairs[:count]
        for pair in victims:
            self._pairs.remove(pair)
            for writer in pair:
                writer.transport.abort()
        return len(victims)

    async def wait_passed(self, count: int) -> None:
        """Returns when so many bytes more have passed."""
        goal = self.bytes_passed + count
        async with self._passed:
            await self._passed.wait_for(lambda: self.bytes_passed >= goal)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pair = [writer, far_writer]
        self._pairs.append(pair)
        try:
            await asyncio.gather(self._relay(reader, far_writer), self._relay(far_reader, writer))
        except asyncio.CancelledError:
            # The proxy is closed.
            pass
        finally:
            if pair in self._pairs:
                self._pairs.remove(pair)
            for each in pair:
                each.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
                async with self._passed:
                    self.bytes_passed += len(data)
                    self._passed.notify_all()
        except ConnectionError:
            pass
        writer.transport.abort()
