"""HELLO: what each end says first, and how the dialler judges the answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from ..wire.errors import LaneCode
from ..wire.messages import Hello, SessionRef, hello_versions, read_hello
from .options import PROTOCOL_VERSIONS, Name, Role, SessionOptions


@dataclass(frozen=True)
class Refusal:
    """Why a lane is refused: what CLOSE says."""

    code: LaneCode
    reason: str


def make_hello(options: SessionOptions, session: SessionRef, clock_us: int) -> Hello:
    """This end's HELLO."""
    return Hello(
        versions=PROTOCOL_VERSIONS,
        capabilities=options.capabilities,
        fabric=options.own.fabric,
        site=options.own.site,
        node=options.own.node,
        software=options.software,
        instance=options.instance,
        session=session,
        settings=options.settings.texts(),
        initial_window=options.initial_window,
        clock_us=clock_us,
    )


def proof(secret: str, by: Role, session_id: str, epoch: int, exporter: bytes) -> str:
    """What only an end of the session can say, for this lane and this end of it alone."""
    message = f"routy-lane {by}|{session_id}|{epoch}|".encode() + exporter
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def judge_versions(versions: tuple[int, ...]) -> Refusal | None:
    """What is wrong with the versions that the peer's HELLO names, before anything else of it."""
    if set(versions) & set(PROTOCOL_VERSIONS):
        return None
    here, there = _versions(PROTOCOL_VERSIONS), _versions(versions)
    return Refusal("version-mismatch", f"session protocol: {here} here, {there} at the peer")


def judge_hello(options: SessionOptions, hello: Hello) -> Refusal | None:
    """What is wrong with the peer's identity or settings."""
    said = Name(hello.fabric, hello.site, hello.node)
    if said != options.peer:
        reason = f"the peer says it is {said}, its certificate says {options.peer}"
        return Refusal("identity-mismatch", reason)
    different = _differences(options.settings.texts(), hello.settings)
    if different:
        told = "; ".join(
            f"{name}: {here} here, {there} at {said}" for name, here, there in different
        )
        return Refusal("settings-mismatch", told)
    return None


def judge_answer(sent: SessionRef, answer: SessionRef, expected: str | None) -> Refusal | None:
    """What is wrong with the acceptor's `session`; `expected` is its proof on a further lane."""
    if (answer.id, answer.epoch) != (sent.id, sent.epoch):
        return Refusal("protocol-error", "the peer answered for another session")
    if expected is None:
        if answer.secret is None:
            return Refusal("protocol-error", "the peer began a session without a secret")
    elif answer.proof is None or not hmac.compare_digest(answer.proof, expected):
        return Refusal("not-authorized", "the peer's proof is wrong")
    return None


class DiallerHandshake:
    """HELLO of the lanes of one session, at the end that dials them."""

    def __init__(self, options: SessionOptions) -> None:
        self._options = options
        #: What the acceptor gave on the first lane; further lanes prove that they know it.
        self.secret: str | None = None

    def reference(self, epoch: int, exporter: bytes) -> SessionRef:
        """The member `session` for a lane."""
        id = self._options.session_id
        if self.secret is None:
            return SessionRef(id, epoch, replaces=self._options.replaces)
        own = proof(self.secret, self._options.role, id, epoch, exporter)
        return SessionRef(id, epoch, proof=own)

    def judge(self, payload: bytes, epoch: int, exporter: bytes) -> Hello | Refusal:
        """The acceptor's HELLO, or why it is no good. Raises ProtocolError."""
        refusal = judge_versions(hello_versions(payload))
        if refusal is not None:
            return refusal
        hello = read_hello(payload)
        id, expected = self._options.session_id, None
        if self.secret is not None:
            expected = proof(self.secret, "acceptor", id, epoch, exporter)
        answer = judge_answer(SessionRef(id, epoch), hello.session, expected)
        return judge_hello(self._options, hello) or answer or hello


def _differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[tuple[str, str, str]]:
    names = sorted({*here, *there})
    pairs = [(name, here.get(name, "nothing"), there.get(name, "nothing")) for name in names]
    return [each for each in pairs if each[1] != each[2]]


def _versions(versions: tuple[int, ...]) -> str:
    text = ", ".join(map(str, versions)) or "none"
    return f"version{'' if len(versions) == 1 else 's'} {text}"
