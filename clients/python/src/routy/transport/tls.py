"""One TLS connection that carries a lane. pyOpenSSL, as `ssl` has no exporter."""

from __future__ import annotations

import asyncio
from typing import Protocol

from OpenSSL import SSL, crypto

from ..session.options import Name
from .identity import Identity, IdentityError

_ALPN = b"routy/1"
_EXPORTER = b"EXPORTER-routy-lane"
_HANDSHAKE_SECONDS = 10.0
_READ_BYTES = 262_144


class LaneFailed(Exception):
    """No lane came about, and why."""


class LaneOwner(Protocol):
    """Who is told what happens on a lane."""

    def lane_received(self, lane: TlsLane, data: bytes) -> None:
        """Bytes came."""

    def lane_writable(self, lane: TlsLane) -> None:
        """A lane that was full takes bytes again."""

    def lane_ended(self, lane: TlsLane, reason: str) -> None:
        """The connection is over."""


def client_context(identity: Identity) -> SSL.Context:
    """TLS 1.3 and nothing older, the fabric's CA and no other, no session resumed."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_protos([_ALPN])
    context.use_certificate(identity.certificate)
    context.use_privatekey(identity.key)  # type: ignore[arg-type]  # any kind TLS can sign with
    store = context.get_cert_store()
    assert store is not None, "a context has a store"
    store.add_cert(crypto.X509.from_cryptography(identity.ca))
    context.set_verify(SSL.VERIFY_PEER)
    return context


class TlsLane(asyncio.Protocol):
    """A TLS connection on which a session may dial a lane."""

    def __init__(self, context: SSL.Context, identity: Identity) -> None:
        self._identity = identity
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self._transport: asyncio.Transport | None = None
        self._handshake = asyncio.get_running_loop().create_future()
        self._reason = "the connection ended"
        self._early: list[bytes] = []
        self._owner: LaneOwner | None = None
        self.lost = asyncio.Event()
        self.is_full = False

    @classmethod
    async def dial(cls, host: str, port: int, context: SSL.Context, identity: Identity) -> TlsLane:
        """Connects and shakes hands. Raises LaneFailed."""
        loop = asyncio.get_running_loop()
        lane: TlsLane | None = None
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                _, lane = await loop.create_connection(
                    lambda: cls(context, identity), host, port, happy_eyeballs_delay=0.25
                )
                await lane._handshake
        except (OSError, TimeoutError, IdentityError) as error:
            if lane is not None:
                lane.cut()
            raise LaneFailed(f"{host}:{port}: {error or 'no answer in 10 s'}") from error
        except asyncio.CancelledError:
            if lane is not None:
                lane.cut()
            raise
        return lane

    @property
    def peer(self) -> Name:
        """Who the certificate says the peer is."""
        certificate = self._tls.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise IdentityError("the peer shows no certificate")
        return self._identity.judge(certificate)

    @property
    def exporter(self) -> bytes:
        """What both ends of this connection know, and nobody else (RFC 8446 section 7.5)."""
        return self._tls.export_keying_material(_EXPORTER, 32, b"")

    def attach(self, owner: LaneOwner) -> None:
        """From now on the owner is told what happens."""
        self._owner = owner
        loop = asyncio.get_running_loop()
        if self._early:
            loop.call_soon(owner.lane_received, self, b"".join(self._early))
            self._early.clear()
        if self.lost.is_set():
            loop.call_soon(owner.lane_ended, self, self._reason)

    def write(self, data: bytes) -> None:
        """Sends bytes. They are kept when the connection is full, so look at `is_full` first."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.send(view[:_READ_BYTES]) :]
        except SSL.Error as error:
            self._fail(_words(error))
        self._flush()

    def close(self) -> None:
        """Ends the connection behind what was written."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self._tls.shutdown()
            self._flush()
        except SSL.Error:
            pass
        self._transport.close()

    def cut(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is connected: the handshake begins."""
        assert isinstance(transport, asyncio.Transport), "TCP is a stream"
        self._transport = transport
        self._advance()

    def data_received(self, data: bytes) -> None:
        """Takes what the network brings."""
        if self._transport is None or self._transport.is_closing():
            return
        self._tls.bio_write(data)
        if not self._handshake.done():
            self._advance()
        if self._handshake.done():
            self._read()

    def pause_writing(self) -> None:
        """The network takes no more for now."""
        self.is_full = True

    def resume_writing(self) -> None:
        """The network takes more again."""
        self.is_full = False
        if self._owner is not None:
            self._owner.lane_writable(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over."""
        if error is not None:
            self._reason = str(error)
        if not self._handshake.done():
            self._handshake.set_exception(ConnectionError(self._reason))
        self.lost.set()
        if self._owner is not None:
            self._owner.lane_ended(self, self._reason)

    # The handshake, and what is behind it.

    def _advance(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        except SSL.Error as error:
            self._flush()
            self._end_handshake(ConnectionError(_words(error)))
            return
        self._flush()
        if self._tls.get_alpn_proto_negotiated() != _ALPN:
            self._end_handshake(ConnectionError("the peer does not speak routy/1"))
            return
        try:
            _ = self.peer
        except IdentityError as error:
            self._end_handshake(error)
            return
        self._handshake.set_result(None)

    def _end_handshake(self, error: Exception) -> None:
        if not self._handshake.done():
            self._handshake.set_exception(error)
        self.cut()

    def _read(self) -> None:
        parts: list[bytes] = []
        try:
            while True:
                parts.append(self._tls.recv(_READ_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._fail("the peer ended the connection")
        except SSL.Error as error:
            self._fail(_words(error))
        self._flush()
        data = b"".join(parts)
        if not data:
            return
        if self._owner is not None:
            self._owner.lane_received(self, data)
        else:
            self._early.append(data)

    def _fail(self, reason: str) -> None:
        self._reason = reason
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        transport = self._transport
        try:
            while True:
                data = self._tls.bio_read(_READ_BYTES)
                if transport is not None and not transport.is_closing():
                    transport.write(data)
        except SSL.WantReadError:
            pass


def _words(error: SSL.Error) -> str:
    """OpenSSL's reasons, for people."""
    errors = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reasons = [str(each[-1]) for each in errors if isinstance(each, tuple)]
    return "TLS: " + (", ".join(reasons) or "the connection broke")
