"""Funding of perpetual contracts: what the long side pays the short one at the venue's stamps."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from marketdata.domain.canonical import canonical_time
from marketdata.domain.instruments import round_money
from trading.domain.events import FundingSettled
from trading.domain.fills import posting_group
from trading.domain.money import ZERO, exact
from trading.domain.outcome import EntryKind, House, Outcome
from trading.domain.state import AccountState


@exact
def funding_payment(quantity: Decimal, *, mark: Decimal, rate: Decimal) -> Decimal:
    """Return what a signed ``quantity`` receives at a stamp, negative when it pays: -quantity * mark * rate.

    Source: docs/accounting.md#funding
    """
    return round_money(-quantity * mark * rate)


def is_settled(state: AccountState, symbol: str, at: datetime) -> bool:
    """Return whether a stamp is not later than the symbol's last, and so changes nothing."""
    last = state.funded_at.get(symbol)
    return last is not None and at <= last


@exact
def settle_funding(state: AccountState, event: FundingSettled) -> Outcome:
    """Return the account after one funding stamp, settled on what it holds.

    Stamps come in order, each before whatever happened after it; after downtime the missed ones first. A stamp that is not later than
    the symbol's last is settled already and changes nothing, so that it may be told twice. One that is told late names what was held at
    its instant. A wallet that this takes below zero is left to the liquidation.

    Raises:
        ValueError: When the rate is not finite or the mark not above 0.
    """
    if not event.rate.is_finite() or not event.mark.is_finite() or event.mark <= 0:
        raise ValueError(
            f"funding needs a finite rate and a mark above 0, was {event.rate} at {event.mark}"
        )
    if is_settled(state, event.symbol, event.at):
        return Outcome(state=state)
    state = replace(state, funded_at={**state.funded_at, event.symbol: event.at})
    held = state.positions.get(event.symbol)
    if held is not None and held.opened_at > event.at:
        held = None
    quantity = event.held
    if quantity is None:
        quantity = held.quantity if held else ZERO
    payment = funding_payment(quantity, mark=event.mark, rate=event.rate)
    if payment == ZERO:
        return Outcome(state=state)
    postings = posting_group(
        f"fund:{state.ordinal}:{event.symbol}:{canonical_time(event.at)}",
        event.at,
        [(EntryKind.FUNDING, payment, House.FUNDING)],
    )
    paid = replace(state, wallet=state.wallet + payment)
    if held is None:
        # Closed since the stamp: the holding is no longer the account's to change, its row is the caller's.
        return Outcome(state=paid, postings=postings)
    funded = replace(held, funding=held.funding + payment)
    return Outcome(state=paid.with_position(funded), postings=postings, positions=(funded,))
