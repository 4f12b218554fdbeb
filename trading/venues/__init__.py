"""Where orders go: one module a venue."""

from __future__ import annotations

from typing import Protocol

from marketdata.domain.facts import Quote
from trading.domain.events import VenueReport
from trading.domain.rules import BookRules
from trading.models import Order
from trading.models.books import Venue
from trading.venues.paper import PaperVenue


class VenueError(Exception):
    """The venue cannot take orders."""


class TradingVenue(Protocol):
    """A way to send orders out. ``send`` may take long and must be called outside any transaction."""

    def send(self, order: Order, quote: Quote, rules: BookRules) -> VenueReport:
        """Send an accepted order and return what the venue says; asking twice for the same order gives the same report."""
        ...


def open_venue(venue: str) -> TradingVenue:
    """Return the venue of this code; raise VenueError for one that is not armed."""
    if venue == Venue.PAPER:
        return PaperVenue()
    raise VenueError(f"{venue} is armed from the execution issue on; use {Venue.PAPER.value}")
