"""A client that dials a node and stays connected."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ..session.options import Name, SessionOptions
from ..session.stream_table import StreamRefused
from ..settings import Settings
from ..transport.identity import Identity
from ..transport.tls import LaneFailed, TlsLane, client_context
from ..wire.messages import Endpoint, Open
from .link import Link, random_id
from .services import Handler, Service
from .streams import Stream, StreamReset

_BACK_OFF_SECONDS = 0.1
_BACK_OFF_MAX_SECONDS = 5.0
_BETWEEN_DIALS_SECONDS = 0.02
_log = logging.getLogger("routy")


class NotConnected(ConnectionError):
    """There is no session with the node, and why."""


@dataclass(frozen=True)
class Address:
    """Where a node listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """`host:port`, an IPv6 address in brackets."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(f"{text!r} is no host:port")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


class Client:
    """Keeps a session with one node, over one or more lanes, until the context ends.

    `services` are what the node may open here: a handler by name, or a Service. `settings` have to
    be those of the fabric. The node may hold `streams_max` streams open here at a time, each with
    up to `stream_window` bytes that were not read yet.
    """

    def __init__(
        self,
        address: str,
        identity: Identity,
        *,
        lanes: int = 1,
        services: Mapping[str, Handler | Service] | None = None,
        settings: Settings | None = None,
        stream_window: int = 1_048_576,
        streams_max: int = 256,
    ) -> None:
        if not 1 <= lanes <= 16:
            raise ValueError("a session has 1 to 16 lanes")
        self._address = Address.parse(address)
        self._identity = identity
        self._context = client_context(identity)
        self._lanes = lanes
        self._settings = settings or Settings()
        self._stream_window = stream_window
        self._streams_max = streams_max
        self._services = {
            name: each if isinstance(each, Service) else Service(each)
            for name, each in (services or {}).items()
        }
        self._instance = random_id()
        self._link: Link | None = None
        self._changed = asyncio.Condition()
        self._failure = "nothing was tried yet"
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None, "entered before"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._link is not None:
            await self._link.close("shutdown", "the client stops")

    @property
    def peer(self) -> Name | None:
        """The node at the other end, while there is a session."""
        return self._link.session.options.peer if self._link else None

    @property
    def link(self) -> Link | None:
        """The session and its lanes, while there is one."""
        return self._link

    async def open(
        self,
        service: str,
        *,
        protocol: str = "tcp",
        versions: tuple[int, ...] = (1,),
        capabilities: tuple[str, ...] = (),
        source: Endpoint | None = None,
        timeout: float = 60.0,
    ) -> Stream:
        """Opens a service of the node's site, once there is a session.

        Raises StreamReset when it is refused, NotConnected when nothing answers in time.
        """
        stream: Stream | None = None
        request = Open(service, protocol, versions, capabilities, source)
        try:
            async with asyncio.timeout(timeout):
                stream = (await self._ready()).open(request)
                await stream.wait_accepted()
                return stream
        except StreamRefused as error:
            raise StreamReset("overload", str(error)) from None
        except TimeoutError:
            reason = "the node does not answer" if stream else self._failure
            raise NotConnected(f"{service}: {reason}") from None
        finally:
            if stream is not None and stream.answer is None:
                stream.reset("cancelled", "waited long enough")

    async def connected(self) -> Link:
        """Waits for a session."""
        async with self._changed:
            while self._link is None:
                await self._changed.wait()
            return self._link

    async def _ready(self) -> Link:
        """Waits for a session in which the node takes new streams."""
        while True:
            link = await self.connected()
            if link.session.ended is None and not link.session.streams.peer_drains:
                return link
            # A node that has drained ends the session before it takes streams again.
            self._failure = "the node is draining"
            await link.over.wait()
            await asyncio.sleep(0)

    async def _run(self) -> None:
        """One session after the other."""
        replaces: str | None = None
        failures = 0
        while True:
            began = await self._begin(replaces)
            if began is None:
                await _back_off(failures)
                failures += 1
                continue
            failures, link = 0, began
            await self._set_link(link)
            async with asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(self._keep(link))
                await link.over.wait()
                keeper.cancel()
            await self._set_link(None)
            await link.close("normal", "the session is over")
            self._failure = link.why_over
            replaces = link.session.options.session_id
            _log.info("the session with %s ended: %s", link.session.options.peer, self._failure)

    async def _set_link(self, link: Link | None) -> None:
        async with self._changed:
            self._link = link
            self._changed.notify_all()

    async def _begin(self, replaces: str | None) -> Link | None:
        """Dials the first lane of a session; None when it comes to nothing."""
        link: Link | None = None
        try:
            lane = await self._dial()
            link = Link(self._options(lane.peer, replaces), self._services)
            link.join(lane)
            await link.wait_up()
            if link.session.ended is None:
                return link
            self._failure = link.why_over
        except LaneFailed as error:
            self._failure = str(error)
        except asyncio.CancelledError:
            if link is not None:
                await link.close("shutdown", "the client stops")
            raise
        _log.info("no session with %s: %s", self._address, self._failure)
        return None

    def _options(self, peer: Name, replaces: str | None) -> SessionOptions:
        return SessionOptions(
            own=self._identity.name,
            peer=peer,
            instance=self._instance,
            session_id=random_id(),
            settings=self._settings,
            replaces=replaces,
            stream_window=self._stream_window,
            streams_max=self._streams_max,
        )

    async def _dial(self) -> TlsLane:
        host, port = self._address.host, self._address.port
        return await TlsLane.dial(host, port, self._context, self._identity)

    async def _keep(self, link: Link) -> None:
        """Dials a lane whenever the session has fewer than it should."""
        failures = 0
        while True:
            link.changed.clear()
            if link.lane_count >= self._lanes or not link.session.can_dial:
                await link.changed.wait()
                continue
            # A path that takes lanes and cuts them at once is not to be hammered.
            await asyncio.sleep(_BETWEEN_DIALS_SECONDS)
            try:
                await self._add_lane(link)
                failures = 0
            except LaneFailed as error:
                _log.info("no lane: %s", error)
                await _back_off(failures)
                failures += 1

    async def _add_lane(self, link: Link) -> None:
        """Dials one lane and waits until it is established. Raises LaneFailed."""
        lane = await self._dial()
        if lane.peer != link.session.options.peer or not link.session.can_dial:
            lane.close()
            raise LaneFailed(f"{self._address} leads to {lane.peer} now")
        number = link.join(lane)
        while link.session.is_joining(number):
            link.changed.clear()
            await link.changed.wait()
        if not link.has_lane(number):
            raise LaneFailed("the node refused the lane, or it broke")


async def _back_off(failures: int) -> None:
    """Full jitter, so that many that lost the same node do not come back together."""
    longest = min(_BACK_OFF_MAX_SECONDS, _BACK_OFF_SECONDS * 2**failures)
    await asyncio.sleep(random.uniform(0, longest))
