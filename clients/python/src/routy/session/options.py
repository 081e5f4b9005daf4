"""What a session is told at its beginning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..settings import Settings

Role = Literal["dialler", "acceptor"]

#: Versions of the session protocol that this package speaks.
PROTOCOL_VERSIONS = (1,)


@dataclass(frozen=True)
class Name:
    """Who a node is: the three names of its certificate."""

    fabric: str
    site: str
    node: str

    def __str__(self) -> str:
        return f"{self.site}/{self.node}"


@dataclass(frozen=True)
class SessionOptions:
    """Identities, settings and limits of one session."""

    own: Name
    peer: Name
    #: 32 lowercase hex digits, random for each start of the process.
    instance: str
    #: 32 lowercase hex digits, random for each session.
    session_id: str
    settings: Settings = field(default_factory=Settings)
    role: Role = "dialler"
    #: The id of an earlier session with this peer that was given up.
    replaces: str | None = None
    software: str = "routy-python/0.1.0"
    capabilities: tuple[str, ...] = ()
    #: Bytes the peer may send on a stream before a first grant, 0..1048576.
    initial_window: int = 65_536
    #: Bytes a stream may hold that were not delivered yet.
    stream_window: int = 1_048_576
    #: Streams of the peer that are open at a time; more are refused with `overload`.
    streams_max: int = 256
