"""Small values for the tests of the account."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec, round_money
from trading.domain.engine import step
from trading.domain.events import CapitalPaid, OrderAsked, VenueReport
from trading.domain.fees import execution_fee
from trading.domain.intents import OrderIntent, Side
from trading.domain.outcome import Outcome
from trading.domain.pricing import taker_price
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, PositionState
from trading.domain.tiers import MarginTier, TierTable

D = Decimal
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return T0 + timedelta(minutes=minutes)


def spec(symbol: str = "XUSDT", **changes: Any) -> InstrumentSpec:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "tick": D("0.01"),
        "step": D("0.001"),
        "min_quantity": D("0.001"),
        "min_notional": D(5),
        "max_leverage": 50,
    }
    return InstrumentSpec(**{**fields, **changes})


def make_rules(**changes: Any) -> BookRules:
    """Return loose rules: no slippage, 5 bps fee, 20x, everything allowed up to all of the equity."""
    fields: dict[str, Any] = {
        "fee_bps_taker": D(5),
        "slippage_bps": D(0),
        "max_leverage": 20,
        "max_position_size_pct": D(100),
        "max_margin_usage_pct": D(100),
        "max_open_positions": 5,
        "instruments": (spec("XUSDT"), spec("YUSDT"), spec("ZUSDT")),
    }
    return BookRules(**{**fields, **changes})


def quote(
    price: str | Decimal, symbol: str = "XUSDT", *, spread: str = "0", minutes: int = 0
) -> Quote:
    """Return a quote round ``price`` (its mark), ``spread`` wide."""
    half = D(spread) / 2
    return Quote(symbol, at(minutes), D(price) - half, D(price) + half, D(price))


def buy(quantity: str, symbol: str = "XUSDT", *, leverage: int = 1, **fields: Any) -> OrderIntent:
    return OrderIntent(
        symbol=symbol, side=Side.BUY, quantity=D(quantity), leverage=leverage, **fields
    )


def sell(quantity: str, symbol: str = "XUSDT", *, leverage: int = 1, **fields: Any) -> OrderIntent:
    return OrderIntent(
        symbol=symbol, side=Side.SELL, quantity=D(quantity), leverage=leverage, **fields
    )


def funded(rules: BookRules, capital: str = "10000") -> AccountState:
    return step(AccountState(ordinal=1), CapitalPaid(T0, D(capital)), rules).state


def report_of(intent: OrderIntent, market: Quote, rules: BookRules, order_id: str) -> VenueReport:
    """Return what the paper venue says of an order: all of it, at the taker's price."""
    price = taker_price(market, intent.side, rules=rules, spec=rules.spec(intent.symbol))
    return VenueReport(
        at=market.at,
        client_order_id=order_id,
        trade_id=f"{order_id}:1",
        quantity=intent.quantity,
        price=price,
        fee=execution_fee(intent.quantity, price, rules=rules),
        reference_price=market.mark,
    )


def trade(
    state: AccountState, intent: OrderIntent, market: Quote, rules: BookRules
) -> tuple[Outcome, Outcome]:
    """Ask for an order and fill it; return both outcomes, the asking alone twice when it was denied."""
    order_id = f"o{state.next_fill}-{len(state.orders)}"
    asked = step(state, OrderAsked(market.at, order_id, intent, market), rules)
    if asked.denials:
        return asked, asked
    return asked, step(asked.state, report_of(intent, market, rules, order_id), rules)


def play(
    state: AccountState, rules: BookRules, *trades: tuple[OrderIntent, Quote]
) -> tuple[AccountState, list[Outcome]]:
    """Fill one order after the other; each must be accepted. Return the last state and the outcomes of the fills."""
    outcomes = []
    for intent, market in trades:
        asked, booked = trade(state, intent, market, rules)
        assert not asked.denials, str(asked.denials[0])
        outcomes.append(booked)
        state = booked.state
    return state, outcomes


def tier_table(*tiers: tuple[Any, ...], symbol: str = "XUSDT") -> TierTable:
    """Return a table of tiers given as (floor, cap, rate, amount, max_leverage)."""
    made = (
        MarginTier(D(floor), None if cap is None else D(cap), D(rate), D(amount), leverage)
        for floor, cap, rate, amount, leverage in tiers
    )
    return TierTable(symbol, "v1", date(2026, 9, 1), tuple(made))


def holding(
    quantity: str | Decimal,
    price: str | Decimal,
    symbol: str = "XUSDT",
    *,
    leverage: int = 1,
    seq: int = 1,
) -> PositionState:
    """Return a position entered at once; a negative quantity is a short."""
    size = D(quantity)
    cost = round_money(abs(size) * D(price))
    return PositionState(
        symbol=symbol,
        seq=seq,
        quantity=size,
        entry_cost=cost,
        leverage=leverage,
        opened_at=T0,
        is_long=size > 0,
        entered_quantity=abs(size),
        entered_cost=cost,
    )


def account(
    wallet: str | Decimal, *positions: PositionState, marks: dict[str, str | Decimal] | None = None
) -> AccountState:
    """Return an account that holds these positions, without marks but those given."""
    return AccountState(
        ordinal=1,
        wallet=D(wallet),
        positions={held.symbol: held for held in positions},
        marks={symbol: D(mark) for symbol, mark in (marks or {}).items()},
        next_position=len(positions) + 1,
        next_fill=len(positions) + 1,
    )
