"""Lists of services: the own one as it is told, the peer's as it comes."""

from __future__ import annotations

from collections import deque

from ..wire import frames
from ..wire.json_object import broken
from ..wire.layout import FLAG, Frame
from ..wire.messages import read_offers
from .events import Event, Offers
from .lane import Lane

_NAMES_MAX = 32_768


class OfferLists:
    """Numbers and pages of both lists."""

    def __init__(self, events: deque[Event]) -> None:
        self._events = events
        self._own: tuple[str, ...] = ()
        self._own_number = 0
        self._peer_number = 0

    def change(self, names: tuple[str, ...]) -> None:
        """Another own list."""
        self._own = names
        self._own_number += 1

    def write(self, lane: Lane) -> None:
        """Sends the own list, again or for the first time. None was given: nothing is said."""
        if self._own_number > 0:
            for frame in frames.offers_pages(self._own_number, self._own):
                lane.send(frame)

    def handle(self, lane: Lane, frame: Frame) -> None:
        """Takes a page of the peer's list; the list counts when its last has come."""
        names = read_offers(frame.payload)
        goes_on = bool(frame.flags & FLAG)
        if goes_on and not names:
            raise broken("an empty page of OFFERS that goes on")
        if frame.offset != lane.offer_number:
            lane.offer_number, lane.offer_pages = frame.offset, []
        lane.offer_pages += names
        if len(lane.offer_pages) > _NAMES_MAX:
            raise broken(f"OFFERS of more than {_NAMES_MAX} names")
        if goes_on:
            return
        whole, lane.offer_pages, lane.offer_number = tuple(lane.offer_pages), [], 0
        if frame.offset > self._peer_number:
            self._peer_number = frame.offset
            self._events.append(Offers(whole))
