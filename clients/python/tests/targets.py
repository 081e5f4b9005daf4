"""What stands behind a node's services: an echo, and one that answers and resets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

#: What the rude target answers before it resets.
RUDE_ANSWER = b"an error" * 1_000


class Target:
    """A server of blocking sockets, one thread for each connection."""

    def __init__(self, handler: Callable[[socket.socket], None]) -> None:
        self._handler = handler
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stop(self) -> None:
        """Stops it, and waits until its last connection has ended."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # A peer that is stopped must not keep the tests from ending.
        connection.settimeout(60)
        with connection, contextlib.suppress(OSError):
            self._handler(connection)


def echo(connection: socket.socket) -> None:
    """Gives back what comes, the half-close included."""
    while data := connection.recv(262_144):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def rude(connection: socket.socket) -> None:
    """Answers the first bytes and closes with the others unread, which is a reset."""
    connection.recv(5)
    connection.sendall(RUDE_ANSWER)
