"""Overnight financing of contracts for difference: what holding a position over the end of the trading day costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from marketdata.domain.canonical import canonical_time
from marketdata.domain.instruments import round_money
from trading.domain.events import OvernightPassed
from trading.domain.fills import posting_group
from trading.domain.margin import mark_of
from trading.domain.money import BPS, ZERO, exact
from trading.domain.outcome import EntryKind, House, Outcome
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, PositionState


def overnight_stamps(after: datetime, until: datetime, rules: BookRules) -> Iterator[datetime]:
    """Yield the ends of trading days later than ``after``, up to and with ``until``; none in a book without overnight financing."""
    if not rules.has_overnight:
        return
    start = after.astimezone(UTC)
    stamp = start.replace(hour=rules.overnight_hour_utc, minute=0, second=0, microsecond=0)
    if stamp <= start:
        stamp += timedelta(days=1)
    while stamp <= until:
        yield stamp
        stamp += timedelta(days=1)


@exact
def overnight_payment(quantity: Decimal, *, mark: Decimal, rate_bps: Decimal) -> Decimal:
    """Return what the holder of a signed ``quantity`` receives for a night, negative when it pays: -|quantity| * mark * rate.

    Source: docs/accounting.md, Overnight financing
    """
    return round_money(-abs(quantity) * mark * rate_bps / BPS)


@exact
def settle_overnight(state: AccountState, event: OvernightPassed, rules: BookRules) -> Outcome:
    """Return the account after one night, settled on what it holds; unchanged in a book without overnight financing.

    Nights come in order, each before whatever happened after it. One that is not later than a symbol's last is settled already, so that
    it may be told twice. A wallet that this takes below zero is left to the liquidation.

    Raises:
        KeyError: When a position that pays has no mark.
        ValueError: When its mark is not above 0.
    """
    if not rules.has_overnight:
        return Outcome(state=state)
    due = [symbol for symbol in rules.symbols if _is_due(state, symbol, event.at)]
    state = replace(state, funded_at={**state.funded_at, **dict.fromkeys(due, event.at)})
    outcome = Outcome(state=state)
    for symbol in due:
        held = state.positions.get(symbol)
        if held is not None and held.opened_at <= event.at:
            mark = mark_of(state.with_marks(event.marks), symbol)
            outcome = outcome.then(_charged(outcome.state, held, mark, rules, at=event.at))
    return outcome


def _is_due(state: AccountState, symbol: str, at: datetime) -> bool:
    last = state.funded_at.get(symbol)
    return last is None or last < at


def _charged(
    state: AccountState, held: PositionState, mark: Decimal, rules: BookRules, *, at: datetime
) -> Outcome:
    if not mark.is_finite() or mark <= 0:
        raise ValueError(f"a night needs a mark of {held.symbol} above 0, was {mark}")
    rate = rules.overnight_bps_long if held.is_long else rules.overnight_bps_short
    payment = overnight_payment(held.quantity, mark=mark, rate_bps=rate)
    if payment == ZERO:
        return Outcome(state=state)
    charged = replace(held, funding=held.funding + payment)
    postings = posting_group(
        f"night:{state.ordinal}:{held.symbol}:{canonical_time(at)}",
        at,
        [(EntryKind.FUNDING, payment, House.FUNDING)],
    )
    paid = replace(state.with_position(charged), wallet=state.wallet + payment)
    return Outcome(state=paid, postings=postings, positions=(charged,))
