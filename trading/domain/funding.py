"""Funding of perpetual contracts: what the long side pays the short one at the venue's stamps."""

from __future__ import annotations

from dataclasses import replace
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


@exact
def settle_funding(state: AccountState, event: FundingSettled) -> Outcome:
    """Return the account after one funding stamp, settled on what it holds.

    Stamps come in order, each before whatever happened after it; after downtime the missed ones first. A stamp that is not later than
    the symbol's last is settled already and changes nothing, so that it may be told twice. A wallet that this takes below zero is left
    to the liquidation.

    Raises:
        ValueError: When the rate is not finite or the mark not above 0.
    """
    if not event.rate.is_finite() or not event.mark.is_finite() or event.mark <= 0:
        raise ValueError(
            f"funding needs a finite rate and a mark above 0, was {event.rate} at {event.mark}"
        )
    last = state.funded_at.get(event.symbol)
    if last is not None and event.at <= last:
        return Outcome(state=state)
    state = replace(state, funded_at={**state.funded_at, event.symbol: event.at})
    held = state.positions.get(event.symbol)
    if held is None or held.opened_at > event.at:
        return Outcome(state=state)
    payment = funding_payment(held.quantity, mark=event.mark, rate=event.rate)
    if payment == ZERO:
        return Outcome(state=state)
    funded = replace(held, funding=held.funding + payment)
    postings = posting_group(
        f"fund:{state.ordinal}:{event.symbol}:{canonical_time(event.at)}",
        event.at,
        [(EntryKind.FUNDING, payment, House.FUNDING)],
    )
    paid = replace(state.with_position(funded), wallet=state.wallet + payment)
    return Outcome(state=paid, postings=postings, positions=(funded,))
