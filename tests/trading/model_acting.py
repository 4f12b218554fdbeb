"""The naive account of model.py in a book that acts between rounds: funding, liquidation, exits and orders that wait.

Written from docs/accounting.md alone, as model.py is. Quotes only: a bar's prices are another matter. No trailing stops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from fractions import Fraction

from tests.trading.model import (
    FARTHEST_EXIT,
    Account,
    Holding,
    Terms,
    Tier,
    Wanted,
    _wrong_exits,
    funding,
    maintenance,
    money,
)

Prices = tuple[Fraction, Fraction, Fraction]


@dataclass
class ActingTerms(Terms):
    """``maker`` and ``clearance`` are fractions of notional; ``tables`` has the tiers of every symbol."""

    maker: Fraction = Fraction(0)
    clearance: Fraction = Fraction(0)
    isolated: bool = False
    tables: dict[str, list[Tier]] = field(default_factory=dict)


@dataclass
class Order(Wanted):
    """``kind`` is MARKET, LIMIT, STOP or TARGET; ``level`` its limit or trigger; ``whole`` closes whatever is held then."""

    kind: str = "MARKET"
    level: Fraction = Fraction(0)
    force: str = "GTC"
    whole: bool = False

    @property
    def sleeps(self) -> bool:
        return self.kind in ("STOP", "TARGET")

    def own(self, bid: Fraction, ask: Fraction) -> Fraction:
        """Return the price that it looks at: what it would trade at."""
        return ask if self.sign > 0 else bid

    def beyond(self, bid: Fraction, ask: Fraction) -> Fraction:
        """Return how far the market is beyond the level, in the direction in which the order acts."""
        up = self.sign if self.kind == "STOP" else -self.sign
        return (self.own(bid, ask) - self.level) * up

    def acts(self, bid: Fraction, ask: Fraction) -> bool:
        """Return whether a waiting order is reached; a limit must be gone through."""
        beyond = self.beyond(bid, ask)
        return beyond > 0 if self.kind == "LIMIT" else beyond >= 0


@dataclass
class ActingAccount(Account):
    """``now`` counts minutes; ``fills`` are (minute, symbol, signed quantity); ``house`` is the other side of every posting."""

    terms: ActingTerms
    now: int = 0
    house: Counter[str] = field(default_factory=Counter)
    fills: list[tuple[int, str, Fraction]] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)

    # --- what is tied up, what must stay covered --------------------------------------------------

    def own_wallet(self, holding: Holding) -> Fraction:
        return money(holding.cost / holding.leverage)

    def margin(self, holding: Holding, mark: Fraction) -> Fraction:
        if self.terms.isolated:
            return self.own_wallet(holding) + holding.profit(mark)
        return holding.margin(mark)

    def maintenance(self, symbol: str) -> Fraction:
        return money(
            maintenance(self.terms.tables[symbol], self.held[symbol].worth(self.marks[symbol]))
        )

    def is_covered(self, symbol: str) -> bool:
        if self.terms.isolated:
            holding = self.held[symbol]
            balance = self.own_wallet(holding) + holding.profit(self.marks[symbol])
            return balance > self.maintenance(symbol)
        return self.equity > sum(map(self.maintenance, self.held))

    def liquidate(self) -> None:
        """Take what lacks cover, the largest loss first; the insurance pays what is then below zero."""
        begun = False
        while symbol := self._next_to_go(begun):
            begun = True
            self.waiting = {
                name: order
                for name, order in self.waiting.items()
                if self.terms.isolated and order.symbol != symbol
            }
            self._take_over(symbol)
        if self.wallet < 0 and not self.held:
            self._insure(-self.wallet)

    def _next_to_go(self, begun: bool) -> str | None:
        for _, symbol in sorted((h.profit(self.marks[s]), s) for s, h in self.held.items()):
            owes = self.wallet < 0 and (begun or self.terms.isolated)
            if owes or not self.is_covered(symbol):
                return symbol
        return None

    def _take_over(self, symbol: str) -> None:
        holding, mark = self.held[symbol], self.marks[symbol]
        backing = self.wallet
        if self.terms.isolated:
            backing = min(self.own_wallet(holding), self.wallet)
        left = backing + holding.profit(mark)
        fee = min(money(holding.worth(mark) * self.terms.clearance), max(left, Fraction(0)))
        closing = Order(symbol, -holding.sign, holding.size, holding.leverage)
        self._fill(closing, holding.size, mark, fee)
        self.house["FEES"] -= fee
        self.house["INSURANCE"] += fee
        if self.terms.isolated:
            self._insure(max(-left, Fraction(0)))

    def _insure(self, amount: Fraction) -> None:
        self.wallet += amount
        self.house["INSURANCE"] -= amount

    # --- the market -------------------------------------------------------------------------------

    def show(self, quotes: Mapping[str, Prices]) -> None:
        """Mark all symbols (bid, ask, mark), look at the account as a whole, symbol by symbol, and as a whole."""
        self.marks |= {symbol: mark for symbol, (_, _, mark) in quotes.items()}
        self.liquidate()
        for symbol in sorted(quotes):
            bid, ask, _ = quotes[symbol]
            self._look(symbol, bid, ask)
        self.liquidate()

    def settle(self, symbol: str, stamp: int, rate: Fraction, mark: Fraction) -> None:
        """Settle a funding stamp on what was held at it; one that is not later than the last changes nothing."""
        if stamp <= self.stamps.get(symbol, -1):
            return
        self.stamps[symbol] = stamp
        self.marks[symbol] = mark
        held = sum(
            (size for at, name, size in self.fills if name == symbol and at <= stamp), Fraction(0)
        )
        paid = funding(1, held, mark, rate)
        self.wallet += paid
        self.house["FUNDING"] -= paid
        holding = self.held.get(symbol)
        if holding and holding.opened_at <= stamp:
            holding.funding += paid
        self.liquidate()

    def _look(self, symbol: str, bid: Fraction, ask: Fraction) -> None:
        known = self.held[symbol].number if symbol in self.held else None
        self._fall(symbol, bid, ask)
        self._act("TARGET", symbol, bid, ask)
        holding = self.held.get(symbol)
        # A position opened inside a look never reaches its target in it.
        if holding and holding.number == known and holding.target is not None:
            price = bid if holding.sign > 0 else ask
            if (price - holding.target) * holding.sign >= 0:
                self._leave(symbol, bid, ask)
        if self._act("LIMIT", symbol, bid, ask):
            self._fall(symbol, bid, ask)

    def _fall(self, symbol: str, bid: Fraction, ask: Fraction) -> None:
        if symbol in self.held:
            self.liquidate()
        self._act("STOP", symbol, bid, ask)
        holding = self.held.get(symbol)
        if holding and holding.stop is not None:
            price = bid if holding.sign > 0 else ask
            if (holding.stop - price) * holding.sign >= 0:
                self._leave(symbol, bid, ask)

    def _leave(self, symbol: str, bid: Fraction, ask: Fraction) -> None:
        """Close all that is held at market, in pieces of the largest order."""
        holding = self.held[symbol]
        closing = Order(symbol, -holding.sign, holding.size, holding.leverage)
        self._take(closing, holding.size, self.terms.price(closing.sign, bid, ask))

    # --- orders -----------------------------------------------------------------------------------

    def arrive(self, name: str, bid: Fraction, ask: Fraction) -> Fraction | None:
        """Let an accepted order reach the market; return the price at which it takes, None when it does not."""
        order = self.waiting[name]
        price = self._takes_at(order, bid, ask)
        if price is not None:
            del self.waiting[name]
            self._take(order, order.left, price)
        elif order.force == "IOC":
            del self.waiting[name]
        return price

    def _takes_at(self, order: Wanted, bid: Fraction, ask: Fraction) -> Fraction | None:
        price = self.terms.price(order.sign, bid, ask)
        if order.kind == "MARKET":
            return price
        if order.kind == "LIMIT" and order.beyond(bid, ask) >= 0:
            return min(price, order.level) if order.sign > 0 else max(price, order.level)
        return None

    def _act(self, kind: str, symbol: str, bid: Fraction, ask: Fraction) -> bool:
        """Execute the symbol's waiting orders of a kind that are reached, as they were accepted; return whether any was filled."""
        before = len(self.fills)
        for name, order in list(self.waiting.items()):
            if (order.kind, order.symbol) == (kind, symbol) and order.acts(bid, ask):
                self._execute(name, order, bid, ask)
        return len(self.fills) > before

    def _execute(self, name: str, order: Wanted, bid: Fraction, ask: Fraction) -> None:
        if self.waiting.pop(name, None) is None:
            return
        size = order.left
        if order.reduce_only:
            closable = max(-self.signed(order.symbol) * order.sign, Fraction(0))
            size = closable if order.whole else min(size, closable)
        if not size:
            return
        if order.kind == "LIMIT":
            self._take(order, size, order.level, self.terms.maker)
            return
        own = order.own(bid, ask)
        price = self.terms.price(order.sign, own, own)
        if order.reduce_only or not self._judge_at(order, price, price)[0]:
            self._take(order, size, price)

    def _take(
        self, order: Wanted, size: Fraction, price: Fraction, rate: Fraction | None = None
    ) -> None:
        """Book an execution in pieces of the largest order; when it closes the position, what may only reduce ends."""
        rate = self.terms.fee if rate is None else rate
        number = self.held[order.symbol].number if order.symbol in self.held else None
        while size:
            piece = min(size, self.terms.most or size)
            size -= piece
            self._fill(order, piece, price, money(piece * price * rate))
        holding = self.held.get(order.symbol)
        if number is not None and (holding is None or holding.number != number):
            self.waiting = {
                name: other
                for name, other in self.waiting.items()
                if not (other.reduce_only and other.symbol == order.symbol)
            }

    def _fill(self, order: Wanted, quantity: Fraction, price: Fraction, fee: Fraction) -> Fraction:
        opened = self.opened
        profit = super()._fill(order, quantity, price, fee)
        if self.opened > opened:
            self.held[order.symbol].opened_at = self.now
        self.house["CLEARING"] -= profit
        self.house["FEES"] += fee
        self.fills.append((self.now, order.symbol, quantity * order.sign))
        return profit

    # --- refusals ---------------------------------------------------------------------------------

    def _judge(
        self, order: Wanted, bid: Fraction, ask: Fraction
    ) -> tuple[set[str], Fraction, Fraction]:
        if order.kind == "MARKET":
            return Account._judge(self._awake(), order, bid, ask)
        if not 0 < order.level <= self.marks[order.symbol] * FARTHEST_EXIT:
            return {"INVALID_ORDER"}, order.level, Fraction(0)
        self._fit(order)
        if order.sleeps:
            return self._judge_sleeper(order, bid, ask), order.level, Fraction(0)
        taken = self._takes_at(order, bid, ask)
        if taken is None:
            return self._judge_at(order, order.level, order.level)
        if order.force == "POST_ONLY":
            return {"POST_ONLY_WOULD_TAKE"}, taken, Fraction(0)
        return self._judge_at(order, taken, self.marks[order.symbol])

    def _fit(self, order: Wanted) -> None:
        """Put an order on tick and step: limits away from aggression, triggers on the nearest, quantities down."""
        tick, step = self.terms.tick, self.terms.step
        ticks = order.level / tick
        if order.kind == "LIMIT":
            ticks = Fraction(ticks // 1 if order.sign > 0 else -(-ticks // 1))
        order.level = max(round(ticks) * tick, tick)
        order.quantity = order.quantity // step * step
        if order.whole:
            order.quantity, order.reduce_only = abs(self.signed(order.symbol)), True

    def _judge_sleeper(self, order: Wanted, bid: Fraction, ask: Fraction) -> set[str]:
        broken = self._wrong_sizes(order, order.level)
        if order.beyond(bid, ask) >= 0:
            broken.add("TRIGGER_WOULD_FIRE_AT_ONCE")
        if not order.reduce_only:
            return broken | _wrong_exits(order.sign, order.level, order.stop, order.target)
        if self.signed(order.symbol) * order.sign >= 0:
            broken.add("NO_POSITION")
        return broken

    def _judge_at(
        self, order: Wanted, price: Fraction, mark: Fraction
    ) -> tuple[set[str], Fraction, Fraction]:
        """Judge an order as filled at exactly this price, its symbol marked there."""
        view = self._awake()
        view.marks[order.symbol] = mark
        view.terms = replace(self.terms, slippage=Fraction(0))
        return Account._judge(view, order, price, price)

    def _awake(self) -> ActingAccount:
        """Return the account without the orders that wait for a trigger: they set nothing aside and hinder no other."""
        view = deepcopy(self)
        view.waiting = {name: order for name, order in view.waiting.items() if not order.sleeps}
        return view

    def _wrong_opening(
        self,
        order: Wanted,
        before: Account,
        after: Account,
        price: Fraction,
        reserve: Fraction,
    ) -> set[str]:
        broken = super()._wrong_opening(order, before, after, price, reserve)
        holding = after.held[order.symbol]
        worth = holding.worth(self.marks[order.symbol])
        tiers = self.terms.tables[order.symbol]
        tier = [tier for tier in tiers if tier.floor < worth or not tier.floor][-1]
        if holding.leverage > tier.leverage:
            broken.add("LEVERAGE_ABOVE_LIMIT")
        if tiers[-1].cap is not None and max(worth, holding.cost) > tiers[-1].cap:
            broken.add("ABOVE_MAX_NOTIONAL")
        return broken
