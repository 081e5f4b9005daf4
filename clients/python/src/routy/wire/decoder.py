"""Bytes of a lane to frames."""

from __future__ import annotations

from collections.abc import Iterator

from .layout import HEADER_BYTES, Frame, Header, read_header


class FrameDecoder:
    """Takes a lane's bytes as they come. Holds no more than one frame and what came with it."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._header: Header | None = None

    @property
    def idle(self) -> bool:
        """Whether it stands between two frames."""
        return self._header is None and not self._bytes

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yields the frames that are complete. Raises ProtocolError once a header is wrong."""
        buffer = self._bytes
        buffer += data
        at = 0
        try:
            while True:
                if self._header is None:
                    if len(buffer) - at < HEADER_BYTES:
                        return
                    self._header = read_header(buffer, at)
                    at += HEADER_BYTES
                header = self._header
                if len(buffer) - at < header.length:
                    return
                payload = bytes(memoryview(buffer)[at : at + header.length])
                at += header.length
                self._header = None
                yield Frame(header.type, payload, header.stream, header.offset, header.flags)
        finally:
            del buffer[:at]
