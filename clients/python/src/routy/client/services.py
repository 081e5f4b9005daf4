"""Services that this end offers: who answers a stream that the peer opens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..wire.errors import StreamCode
from ..wire.messages import Accept, Open
from .streams import Stream, StreamReset

Handler = Callable[[Stream], Awaitable[None]]

_LINGER_SECONDS = 10.0
_log = logging.getLogger("routy")


@dataclass(frozen=True)
class Service:
    """A handler, and what it speaks."""

    handler: Handler
    protocol: str = "tcp"
    versions: tuple[int, ...] = (1,)
    capabilities: tuple[str, ...] = ()

    def judge(self, request: Open) -> Accept | tuple[StreamCode, str]:
        """What is picked of an OPEN, or why it is refused."""
        if request.protocol != self.protocol:
            return "unsupported-protocol", f"the service speaks {self.protocol}"
        common = set(request.versions) & set(self.versions)
        if not common:
            here = ", ".join(map(str, self.versions))
            there = ", ".join(map(str, request.versions)) or "none"
            told = f"{self.protocol}: versions {here} here, {there} at the peer"
            return "unsupported-version", told
        known = [each for each in request.capabilities if each in self.capabilities]
        return Accept(max(common), tuple(dict.fromkeys(known)))


async def serve(service: Service, stream: Stream) -> None:
    """Runs the handler, then ends the stream like a socket whose owner closes it."""
    try:
        await service.handler(stream)
        stream.end()
        async with asyncio.timeout(_LINGER_SECONDS):
            # A peer that still sends must not lose the answer by a reset that overtakes it.
            async for _ in stream:
                pass
            await stream.wait_finished()
    except StreamReset:
        pass
    except TimeoutError:
        stream.reset("connection-reset", "closed while the other end still sends")
    except asyncio.CancelledError:
        stream.reset("cancelled", "the service stops")
        raise
    except Exception:
        _log.exception("the handler of service %s failed", stream.request.service)
        stream.reset("internal", "the handler failed")
