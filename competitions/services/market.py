"""The market as rounds need it: the snapshot of a slot, the quotes orders fill on, the marks a round closes at."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from competitions.domain.contract import Contract
from competitions.models import Competition, Round
from competitions.models.competitions import ClockKind
from competitions.services.setup import history_from
from marketdata import services as marketdata
from marketdata.domain.facts import Quote, Timeframe
from marketdata.feeds import FeedError, open_feed
from marketdata.models import Blob
from marketdata.services import CapturedSnapshot, quotes_of
from trading.domain.rules import FillRule

logger = logging.getLogger(__name__)


def contract_of(competition: Competition) -> Contract:
    """Return the frozen contract of a started season."""
    return Contract.from_json(competition.contract)


@lru_cache(maxsize=8)  # a text under its hash never changes, and every turn of a round fills on it
def quotes_in(manifest: str) -> tuple[Mapping[str, Quote], Mapping[str, Quote]]:
    """Return the quotes of the snapshot whose manifest has this hash, and the opens of the bars after it."""
    content = json.loads(Blob.objects.text(manifest))
    return quotes_of(content), quotes_of(content, key="opens")


def capture_for(round_: Round, contract: Contract, *, now: datetime) -> CapturedSnapshot:
    """Freeze the market for a round's slot; network inside, so never in a transaction."""
    return marketdata.capture_snapshot(
        round_.competition.feed,
        contract.rules.instruments,
        [Timeframe(name) for name in contract.timeframes],
        as_of=round_.slot_at,
        now=now,
        with_opens=contract.rules.fill_rule == FillRule.NEXT_BAR,
        history_from=history_from(contract),
    )


def no_data_reason(captured: CapturedSnapshot) -> str:
    """Return in words why a snapshot is not usable."""
    reasons = captured.manifest.get("reasons", [])
    told = ", ".join(f"{item['symbol']} {item['reason']}" for item in reasons[:4])
    return f"no usable market data: {told or 'nothing came'}"[:300]


def quotes_now(
    competition: Competition, symbols: Collection[str], *, now: datetime
) -> dict[str, Quote]:
    """Return the quotes in force at ``now`` for the symbols of the book; network inside. Missing ones are left out.

    Raises:
        FeedError: If the feed gives no answer.
    """
    rules = contract_of(competition).rules
    specs = [spec for spec in rules.instruments if spec.symbol in symbols]
    return open_feed(competition.feed).quotes(specs, now) if specs else {}


@dataclass(frozen=True, slots=True)
class ClosingQuotes:
    """Quotes to close at, by symbol; ``note`` says so when they are not those of now though they should be."""

    quotes: dict[str, Quote]
    note: str = ""


def closing_quotes(competition: Competition, *, now: datetime) -> ClosingQuotes:
    """Return the quotes at which an emergency close fills: those of now on the wall clock, else the last snapshot's.

    A feed that does not answer leaves the last snapshot's quotes: closing must not wait for it.
    """
    last = (
        Round.objects.filter(competition=competition, snapshot__isnull=False)
        .select_related("snapshot")
        .order_by("-number")
        .first()
    )
    quotes = quotes_of(last.snapshot.content()) if last and last.snapshot else {}
    if competition.clock != ClockKind.WALL:
        return ClosingQuotes(quotes)
    symbols = [spec.symbol for spec in contract_of(competition).rules.instruments]
    try:
        return ClosingQuotes(quotes | quotes_now(competition, symbols, now=now))
    except FeedError as error:
        logger.warning("closing on the last snapshot's quotes slug=%s: %s", competition.slug, error)
        instead = f"those of round {last.number} were used" if last else "and there are no others"
        return ClosingQuotes(quotes, f"the feed gave no quotes of now ({error}); {instead}")
