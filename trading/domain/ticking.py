"""Which accounts a tick may leave alone: nothing of theirs would change but their marks.

Of thousands of accounts most are so at most ticks, and to tell costs a fraction of the engine's step. The answer is exact where it says
that nothing happens; where it says that something may, the step decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import MONEY_UNIT, InstrumentSpec, round_money
from trading.domain.drawdown import DrawdownTier, drawdown_tier
from trading.domain.intents import OrderKind, Side
from trading.domain.margin import isolated_wallet
from trading.domain.money import ZERO, exact
from trading.domain.resting.triggers import Span, Trail, followed, stop_price, trail_trigger
from trading.domain.rules import HUNDRED, BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.state import AccountState, OrderState, PositionState
from trading.domain.tiers import MarginTier


def may_act(state: AccountState, quotes: Mapping[str, Quote], rules: BookRules) -> bool:
    """Return whether these quotes, by symbol and all at once, may do more to the account than mark it.

    False is certain: no exit or waiting order is touched, no trailing stop follows, everything is covered. Marks of other symbols are
    those of ``state``; where one is wanting the answer is True, so that the step tells which. For many accounts make one `Tick`.
    """
    return Tick(quotes, rules).may_act(state)


@dataclass(frozen=True, slots=True)
class Tick:
    """Quotes by symbol that all accounts of a book are shown at once."""

    quotes: Mapping[str, Quote]
    rules: BookRules
    _tiers: dict[str, tuple[MarginTier, ...]] = field(default_factory=dict, init=False)

    @exact
    def may_act(self, state: AccountState) -> bool:
        """Return whether the tick may do more to the account than mark it."""
        if self.rules.resting_orders and self._touches(state):
            return True
        if not self.rules.acts_between_rounds:
            return False
        return not self._covers(state) or self._falls(state)

    def _falls(self, state: AccountState) -> bool:
        """Return whether the account has fallen so far that it is closed."""
        if self.rules.drawdown_close_pct is None:
            return False
        marks = {symbol: quote.mark for symbol, quote in self.quotes.items()}
        return drawdown_tier(state.with_marks(marks), self.rules) is DrawdownTier.CLOSE

    def _touches(self, state: AccountState) -> bool:
        for symbol, held in state.positions.items():
            quote = self.quotes.get(symbol)
            if quote is not None and _leaves(held, quote, self.rules):
                return True
        for order in state.orders.values():
            quote = self.quotes.get(order.intent.symbol)
            if quote is not None and order.intent.rests and _awakes(order, quote, self.rules):
                return True
        return False

    def _covers(self, state: AccountState) -> bool:
        """Return whether every position may stay: the health of ``trading.domain.maintenance`` without its other figures."""
        is_isolated = self.rules.margin_mode is MarginMode.ISOLATED
        is_cfd = self.rules.margin_model is MarginModel.CFD
        # A wallet below zero backs nothing, and is made good when the account is flat.
        if state.wallet < 0 and (is_isolated or not state.positions):
            return False
        balance, wanted = state.wallet, ZERO
        for symbol, held in state.positions.items():
            quote = self.quotes.get(symbol)
            mark = state.marks.get(symbol) if quote is None else quote.mark
            if mark is None:
                return False
            cost = held.entry_cost
            worth = (abs(held.quantity) * mark).quantize(MONEY_UNIT)
            profit = worth - cost if held.is_long else cost - worth
            maintenance = self._of_basis(cost, worth) if is_cfd else self._of_tier(symbol, worth)
            if is_isolated:
                balance, wanted = isolated_wallet(held) + profit, maintenance
                if balance < wanted or (balance == wanted and not is_cfd):
                    return False
            else:
                balance += profit
                wanted += maintenance
        return balance > wanted or (balance == wanted and (is_cfd or not state.positions))

    def _of_basis(self, cost: Decimal, worth: Decimal) -> Decimal:
        basis = cost if self.rules.stop_out_basis is StopOutBasis.OPEN else worth
        return round_money(basis * self.rules.maintenance_margin_pct / HUNDRED)

    def _of_tier(self, symbol: str, worth: Decimal) -> Decimal:
        tiers = self._tiers.get(symbol)
        if tiers is None:
            tiers = self._tiers[symbol] = self.rules.tier_table(symbol).tiers
        for tier in tiers:
            if tier.cap is None or worth <= tier.cap:
                break
        return (worth * tier.rate - tier.amount).quantize(MONEY_UNIT)


def _leaves(held: PositionState, quote: Quote, rules: BookRules) -> bool:
    """Return whether an exit of the position is reached, or its trailing stop follows."""
    exits = held.exits
    stop, target = exits.stop_loss, exits.take_profit
    if held.is_long:
        price = quote.bid
        is_reached = (stop is not None and price <= stop) or (
            target is not None and price >= target
        )
    else:
        price = quote.ask
        is_reached = (stop is not None and price >= stop) or (
            target is not None and price <= target
        )
    if is_reached or exits.callback_rate is None:
        return is_reached
    trail = Trail(Side.closing(held.quantity), exits.callback_rate, exits.activation_price)
    return _moves(trail, held.trail_extreme, price, rules.spec(held.symbol))


def _awakes(order: OrderState, quote: Quote, rules: BookRules) -> bool:
    """Return whether a waiting order fills or triggers, or its trailing stop follows."""
    intent = order.intent
    is_buy = intent.side is Side.BUY
    price = quote.ask if is_buy else quote.bid
    if intent.callback_rate is not None:
        trail = Trail(intent.side, intent.callback_rate, intent.activation_price)
        if _moves(trail, order.trail_extreme, price, rules.spec(order.symbol)):
            return True
    if intent.kind is OrderKind.LIMIT:
        limit = intent.limit_price
        return limit is not None and (price < limit if is_buy else price > limit)
    trigger = intent.trigger_price
    if trigger is None:
        return False
    rises = is_buy == (intent.kind is OrderKind.STOP_MARKET)
    return price >= trigger if rises else price <= trigger


def _moves(trail: Trail, extreme: Decimal | None, price: Decimal, spec: InstrumentSpec) -> bool:
    """Return whether a trailing stop follows to ``price`` or fires at it."""
    best = followed(trail, extreme, price)
    if best is None or best != extreme:
        return best != extreme
    return stop_price(trail.side, trail_trigger(trail, best, spec), Span.point(price)) is not None
