"""PING and PONG: whether lanes live, round trips, and what a PONG proves."""

from __future__ import annotations

from dataclasses import dataclass

from ..wire import frames
from ..wire.layout import Frame
from .lane import Behind, Lane


@dataclass
class _Ping:
    lane: Lane
    sent_at: float
    behind: Behind


@dataclass(frozen=True)
class RoundTrip:
    """What a PONG tells: seconds of the round trip, and how far the peer's clock is ahead."""

    seconds: float
    clock_offset_us: int


class Pings:
    """PINGs of all lanes of a session, by their sequence number."""

    def __init__(self) -> None:
        self._sequence = 0
        self._waiting: dict[int, _Ping] = {}
        self.last: RoundTrip | None = None

    def send(self, lane: Lane, now: float, clock_us: int) -> None:
        """Sends a PING, behind all that was sent on the lane."""
        self._sequence += 1
        self._waiting[self._sequence] = _Ping(lane, now, lane.behind)
        lane.behind = Behind()
        lane.send(frames.ping(self._sequence, clock_us))

    def forget(self, lane: Lane) -> None:
        """The lane is gone: nothing of it is answered."""
        for sequence in [key for key, ping in self._waiting.items() if ping.lane is lane]:
            del self._waiting[sequence]

    def handle_pong(self, lane: Lane, frame: Frame, now: float, clock_us: int) -> Behind | None:
        """What the PONG proves that the peer has heard; None when nobody waits for it."""
        pinged_us, received_us, sent_us = frames.read_numbers(frame.payload)
        ping = self._waiting.get(frame.offset)
        if ping is None or ping.lane is not lane:
            return None
        del self._waiting[frame.offset]
        lane.proved_at = now
        offset_us = ((received_us - pinged_us) + (sent_us - clock_us)) // 2
        seconds = max(0.0, now - ping.sent_at - (sent_us - received_us) / 1e6)
        self.last = RoundTrip(seconds, offset_us)
        return ping.behind
