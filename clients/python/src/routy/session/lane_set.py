"""All lanes of a session, and which streams are at home where."""

from __future__ import annotations

from ..wire.layout import Frame
from .lane import Lane, Phase
from .stream import Stream


class LaneSet:
    """The lanes that are not closed, by their epoch."""

    def __init__(self) -> None:
        self.all: dict[int, Lane] = {}

    def established(self) -> list[Lane]:
        """Those that carry frames."""
        return [lane for lane in self.all.values() if lane.phase is Phase.ESTABLISHED]

    def emptiest(self) -> Lane | None:
        """The one that is home to the fewest streams."""
        return min(self.established(), key=lambda lane: lane.homes, default=None)

    def last_heard(self) -> Lane | None:
        """The one that works most likely."""
        return max(self.established(), key=lambda lane: lane.heard_at, default=None)

    def move(self, stream: Stream, home: Lane | None) -> None:
        """Gives a stream another home, or none."""
        if stream.home is not None:
            stream.home.homes -= 1
        stream.home = home
        if home is not None:
            home.homes += 1

    def wake(self, stream: Stream) -> None:
        """The stream may have bytes, FIN or a reset to send on its home."""
        home = stream.home
        if home is None or stream in home.ready:
            return
        if stream.sendable() or stream.owes_fin() or stream.owes_reset():
            home.ready.append(stream)

    def send_open(self, lane: Lane, frame: Frame) -> None:
        """Sends an OPEN, which the next PONG on the lane confirms."""
        lane.send(frame)
        lane.behind.opens.add(frame.stream)

    def send_end(self, lane: Lane, id: int, frame: Frame | None) -> None:
        """Sends what ends a stream at this end, unless it was sent here already.

        The next PONG on the lane confirms it.
        """
        if frame is not None:
            lane.send(frame)
        lane.behind.opens.add(id)
        lane.behind.ends.add(id)
