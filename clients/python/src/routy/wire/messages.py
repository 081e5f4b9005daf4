"""The JSON payloads: HELLO, OPEN, ACCEPT, OFFERS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .json_object import Members, as_integer, broken, parse_json
from .text import is_name, is_text

JsonObject = dict[str, Any]

INITIAL_WINDOW_MAX = 1_048_576
_VERSION_MAX = 65_535


@dataclass(frozen=True)
class SessionRef:
    """The member `session` of HELLO: which session the lane is for."""

    id: str
    epoch: int
    secret: str | None = None
    proof: str | None = None
    replaces: str | None = None

    def json(self) -> JsonObject:
        """As JSON, without what is not there."""
        optional = {"secret": self.secret, "proof": self.proof, "replaces": self.replaces}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"id": self.id, "epoch": self.epoch, **given}


@dataclass(frozen=True)
class Hello:
    """Who an end is and which session its lane is for."""

    versions: tuple[int, ...]
    capabilities: tuple[str, ...]
    fabric: str
    site: str
    node: str
    software: str
    instance: str
    session: SessionRef
    settings: Mapping[str, str]
    initial_window: int
    clock_us: int

    def json(self) -> JsonObject:
        """As JSON."""
        return {
            "versions": list(self.versions),
            "capabilities": list(self.capabilities),
            "fabric": self.fabric,
            "site": self.site,
            "node": self.node,
            "software": self.software,
            "instance": self.instance,
            "session": self.session.json(),
            "settings": dict(self.settings),
            "initialWindow": self.initial_window,
            "clockUs": self.clock_us,
        }


@dataclass(frozen=True)
class Endpoint:
    """Whence a client came, or where it connected to."""

    address: str
    port: int


@dataclass(frozen=True)
class Open:
    """What a stream is opened for."""

    service: str
    protocol: str = "tcp"
    versions: tuple[int, ...] = (1,)
    capabilities: tuple[str, ...] = ()
    source: Endpoint | None = field(default=None)
    destination: Endpoint | None = field(default=None)

    def json(self) -> JsonObject:
        """As JSON, without what is not there."""
        ends = {"source": self.source, "destination": self.destination}
        return {
            "protocol": self.protocol,
            "versions": list(self.versions),
            "capabilities": list(self.capabilities),
            "service": self.service,
            **{
                name: {"address": end.address, "port": end.port}
                for name, end in ends.items()
                if end is not None
            },
        }


@dataclass(frozen=True)
class Accept:
    """What the acceptor of a stream picked of what its opener offered."""

    version: int = 1
    capabilities: tuple[str, ...] = ()

    def json(self) -> JsonObject:
        """As JSON."""
        return {"version": self.version, "capabilities": list(self.capabilities)}


def hello_versions(payload: bytes) -> tuple[int, ...]:
    """What HELLO says in every version: the versions its sender speaks."""
    return Members("HELLO", parse_json(payload)).list("versions", 32, _version)


def read_hello(payload: bytes) -> Hello:
    """Raises ProtocolError `frame-payload`."""
    hello = Members("HELLO", parse_json(payload))
    session = hello.object("session")
    return Hello(
        versions=hello.list("versions", 32, _version),
        capabilities=hello.list("capabilities", 64, _capability),
        fabric=hello.name("fabric"),
        site=hello.name("site"),
        node=hello.name("node"),
        software=hello.text("software", 100),
        instance=hello.hex("instance", 32),
        session=SessionRef(
            id=session.hex("id", 32),
            epoch=session.integer("epoch", 1),
            secret=session.optional_hex("secret", 64),
            proof=session.optional_hex("proof", 64),
            replaces=session.optional_hex("replaces", 32),
        ),
        settings=hello.object("settings").texts(64, 64, 256),
        initial_window=hello.integer("initialWindow", 0, INITIAL_WINDOW_MAX),
        clock_us=hello.integer("clockUs", 0),
    )


def read_open(payload: bytes) -> Open:
    """Raises ProtocolError `frame-payload`."""
    request = Members("OPEN", parse_json(payload))
    return Open(
        protocol=request.name("protocol"),
        versions=request.list("versions", 32, _version),
        capabilities=request.list("capabilities", 64, _capability),
        service=request.text("service", 255),
        source=_endpoint(request, "source"),
        destination=_endpoint(request, "destination"),
    )


def read_accept(payload: bytes) -> Accept:
    """Raises ProtocolError `frame-payload`."""
    answer = Members("ACCEPT", parse_json(payload))
    return Accept(
        version=answer.integer("version", 1, _VERSION_MAX),
        capabilities=answer.list("capabilities", 64, _capability),
    )


def read_offers(payload: bytes) -> list[str]:
    """One page of names. Raises ProtocolError `frame-payload`."""
    names = parse_json(payload)
    if not isinstance(names, list) or not all(is_name(each) for each in names):
        raise broken("OFFERS is no array of names")
    return names


def _endpoint(request: Members, name: str) -> Endpoint | None:
    if not request.has(name):
        return None
    end = request.object(name)
    return Endpoint(end.text("address", 64), end.integer("port", 0, 65_535))


def _version(what: str, value: object) -> int:
    return as_integer(what, value, 1, _VERSION_MAX)


def _capability(what: str, value: object) -> str:
    if not isinstance(value, str) or not is_text(value, 64):
        raise broken(f"{what} has what is no text of at most 64")
    return value
