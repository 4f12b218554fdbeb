"""A naive account in fractions, written from docs/accounting.md alone: slow, plain, and with nothing of the engine in it.

Money is rounded where the document says ``money(...)`` and nowhere else: a fill's notional, its fee, the cost that a reduce releases, a
flip's share of the fee, margins, values at the mark, and what an order sets aside.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction

MOST_MONEY = 10**9
LARGEST_SIZE = 10**15
FARTHEST_EXIT = 100


def money(amount: Fraction) -> Fraction:
    """Return the amount in whole units of 1e-8; ``round`` of a fraction takes halves to even."""
    return Fraction(round(amount * 10**8), 10**8)


@dataclass
class Terms:
    """What the book's contract says, as plain numbers."""

    fee: Fraction
    slippage: Fraction
    buffer: Fraction
    share: Fraction
    usage: Fraction
    most_leverage: int
    most_positions: int
    shorts: bool
    pyramids: bool
    tick: Fraction
    step: Fraction
    least: Fraction
    most: Fraction | None
    least_notional: Fraction
    symbols: tuple[str, ...]

    def price(self, sign: int, bid: Fraction, ask: Fraction) -> Fraction:
        """Return what a taker pays (+1) or gets (-1): slipped, and on the tick that is worse for it."""
        if sign > 0:
            return -(-ask * (1 + self.slippage) // self.tick) * self.tick
        return max(bid * (1 - self.slippage) // self.tick * self.tick, self.tick)

    def fee_of(self, quantity: Fraction, price: Fraction) -> Fraction:
        return money(quantity * price * self.fee)


@dataclass
class Holding:
    """A position: ``size`` unsigned, ``sign`` its direction."""

    number: int
    sign: int
    leverage: int
    size: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realised: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    stop: Fraction | None = None
    target: Fraction | None = None
    opened_at: int = 0
    funding: Fraction = Fraction(0)

    def worth(self, mark: Fraction) -> Fraction:
        return money(self.size * mark)

    def margin(self, mark: Fraction) -> Fraction:
        return money(self.worth(mark) / self.leverage)

    def profit(self, mark: Fraction) -> Fraction:
        return (self.worth(mark) - self.cost) * self.sign


@dataclass
class Wanted:
    """An order as it is asked for, and while it waits: ``left`` of it, ``aside`` the money kept for that."""

    symbol: str
    sign: int
    quantity: Fraction
    leverage: int
    reduce_only: bool = False
    stop: Fraction | None = None
    target: Fraction | None = None
    left: Fraction = Fraction(0)
    price: Fraction = Fraction(0)
    aside: Fraction = Fraction(0)


@dataclass
class Account:
    terms: Terms
    wallet: Fraction = Fraction(0)
    marks: dict[str, Fraction] = field(default_factory=dict)
    held: dict[str, Holding] = field(default_factory=dict)
    waiting: dict[str, Wanted] = field(default_factory=dict)
    opened: int = 0

    @property
    def equity(self) -> Fraction:
        return self.wallet + sum(
            holding.profit(self.marks[symbol]) for symbol, holding in self.held.items()
        )

    @property
    def used(self) -> Fraction:
        margins = sum(
            self.margin(holding, self.marks[symbol]) for symbol, holding in self.held.items()
        )
        return margins + sum(order.aside for order in self.waiting.values())

    @property
    def free(self) -> Fraction:
        return self.equity - self.used

    def margin(self, holding: Holding, mark: Fraction) -> Fraction:
        """Return what a position ties up."""
        return holding.margin(mark)

    def signed(self, symbol: str) -> Fraction:
        holding = self.held.get(symbol)
        return holding.size * holding.sign if holding else Fraction(0)

    def ask(self, name: str, order: Wanted, bid: Fraction, ask: Fraction) -> set[str]:
        """Take an order and let it wait; return the rules that it breaks instead, if there are any."""
        broken, price, reserve = self._judge(order, bid, ask)
        if not broken:
            order.left, order.price, order.aside = order.quantity, price, reserve
            self.waiting[name] = order
        return broken

    def report(
        self, name: str, quantity: Fraction, price: Fraction, fee: Fraction, *, is_final: bool
    ) -> Fraction:
        """Book an execution of a waiting order and return the profit of what it closed."""
        order = self.waiting[name]
        profit = self._fill(order, quantity, price, fee) if quantity else Fraction(0)
        before, order.left = order.left, order.left - quantity
        order.aside = money(order.aside * order.left / before)
        if is_final or not order.left:
            del self.waiting[name]
        return profit

    def end(self, name: str) -> None:
        del self.waiting[name]

    def set_exits(self, symbol: str, stop: Fraction | None, target: Fraction | None) -> set[str]:
        """Make the exits exactly these, or return what is wrong with them. They are on their ticks already."""
        holding = self.held.get(symbol)
        if holding is None:
            return {"NO_POSITION"}
        broken = _wrong_exits(holding.sign, self.marks[symbol], stop, target)
        if not broken:
            holding.stop, holding.target = stop, target
        return broken

    def _fill(self, order: Wanted, quantity: Fraction, price: Fraction, fee: Fraction) -> Fraction:
        holding = self.held.get(order.symbol)
        against = holding is not None and holding.sign != order.sign
        closing = min(holding.size, quantity) if holding and against else Fraction(0)
        closing_fee = fee if closing == quantity else money(fee * closing / quantity)
        profit = Fraction(0)
        if holding and closing:
            released = money(holding.cost * closing / holding.size)
            profit = (money(closing * price) - released) * holding.sign
            holding.size -= closing
            holding.cost -= released
            holding.realised += profit
            holding.fees += closing_fee
            if not holding.size:
                del self.held[order.symbol]
        if closing < quantity:
            self._enter(order, quantity - closing, price, fee - closing_fee)
        self.wallet += profit - fee
        return profit

    def _enter(self, order: Wanted, quantity: Fraction, price: Fraction, fee: Fraction) -> None:
        if order.symbol not in self.held:
            self.opened += 1
            self.held[order.symbol] = Holding(self.opened, order.sign, order.leverage)
        holding = self.held[order.symbol]
        holding.size += quantity
        holding.cost += money(quantity * price)
        holding.fees += fee
        holding.stop = holding.stop if order.stop is None else order.stop
        holding.target = holding.target if order.target is None else order.target

    def _judge(
        self, order: Wanted, bid: Fraction, ask: Fraction
    ) -> tuple[set[str], Fraction, Fraction]:
        """Return the rules that an order breaks, the price it is counted at, and what it sets aside."""
        price = self.terms.price(order.sign, bid, ask)
        broken = self._wrong_sizes(order, price)
        if order.reduce_only:
            return broken | self._wrong_reduction(order), price, Fraction(0)
        if order.quantity <= 0 or order.leverage < 1:
            return broken, price, Fraction(0)
        before = deepcopy(self)
        for name, other in self._same_side(order):
            fee = self.terms.fee_of(other.left, other.price)
            before.report(name, other.left, other.price, fee, is_final=True)
        after = deepcopy(before)
        after._fill(order, order.quantity, price, self.terms.fee_of(order.quantity, price))
        reserve = max(before.free - after.free, Fraction(0))
        if after.signed(order.symbol) * order.sign > 0:
            broken |= self._wrong_opening(order, before, after, price, reserve)
        return broken, price, reserve

    def _same_side(self, order: Wanted) -> list[tuple[str, Wanted]]:
        return [
            (name, other)
            for name, other in self.waiting.items()
            if (other.symbol, other.sign) == (order.symbol, order.sign)
        ]

    def _wrong_sizes(self, order: Wanted, price: Fraction) -> set[str]:
        terms, broken = self.terms, set()
        if abs(order.quantity) > LARGEST_SIZE:
            broken.add("INVALID_SIZE")
        if order.quantity <= 0 or order.quantity % terms.step:
            broken.add("QUANTITY_BELOW_STEP")
        if terms.most is not None and order.quantity > terms.most:
            broken.add("ABOVE_MAX_QUANTITY")
        if order.reduce_only:
            return broken
        if order.leverage < 1:
            broken.add("LEVERAGE_BELOW_ONE")
        if order.leverage > terms.most_leverage:
            broken.add("LEVERAGE_ABOVE_LIMIT")
        if order.quantity < terms.least:
            broken.add("BELOW_MIN_QUANTITY")
        if order.quantity * price < terms.least_notional:
            broken.add("BELOW_MIN_NOTIONAL")
        return broken

    def _wrong_reduction(self, order: Wanted) -> set[str]:
        against = -self.signed(order.symbol) * order.sign
        closable = max(against - sum(other.left for _, other in self._same_side(order)), 0)
        if against <= 0 or not closable:
            return {"NO_POSITION", "REDUCE_ONLY_WOULD_INCREASE"}
        return {"REDUCE_ONLY_WOULD_INCREASE"} if order.quantity > closable else set()

    def _wrong_opening(
        self,
        order: Wanted,
        before: Account,
        after: Account,
        price: Fraction,
        reserve: Fraction,
    ) -> set[str]:
        terms, symbol, broken = self.terms, order.symbol, set()
        mark, holding = self.marks[symbol], after.held[symbol]
        old = before.held.get(symbol)
        adds = old is not None and old.sign == order.sign
        if order.sign < 0 and not terms.shorts:
            broken.add("SHORTING_NOT_ALLOWED")
        if adds and not terms.pyramids:
            broken.add("PYRAMIDING_NOT_ALLOWED")
        if adds and old and old.leverage != order.leverage:
            broken.add("LEVERAGE_CONFLICT")
        coming = {other.symbol for other in before.waiting.values() if not other.reduce_only}
        if len(coming | set(after.held)) > terms.most_positions:
            broken.add("TOO_MANY_POSITIONS")
        if max(holding.worth(mark), holding.cost) > MOST_MONEY:
            broken.add("ABOVE_MAX_NOTIONAL")
        broken |= _wrong_exits(order.sign, price, order.stop, order.target)
        margin = self.margin(holding, mark)
        opened = margin - (self.margin(old, mark) if adds and old else 0)
        needed = money(opened * terms.buffer) + before.equity - after.equity
        if needed > before.equity - (after.used - opened) or reserve > self.free:
            broken.add("INSUFFICIENT_MARGIN")
        own = sum(other.aside for other in before.waiting.values() if other.symbol == symbol)
        if after.equity <= 0 or (margin + own) > terms.share * after.equity:
            broken.add("POSITION_SHARE_ABOVE_LIMIT")
        if after.equity <= 0 or after.used > terms.usage * after.equity:
            broken.add("MARGIN_USAGE_ABOVE_LIMIT")
        return broken


def _wrong_exits(
    sign: int, price: Fraction, stop: Fraction | None, target: Fraction | None
) -> set[str]:
    broken = set()
    for level, below in ((stop, sign > 0), (target, sign < 0)):
        if level is None:
            continue
        if level > price * FARTHEST_EXIT:
            broken.add("EXITS_OUT_OF_RANGE")
        elif level <= 0 or level == price or (level < price) != below:
            broken.add("EXITS_ON_WRONG_SIDE")
    return broken


@dataclass
class Tier:
    floor: Fraction
    rate: Fraction
    cum: Fraction
    cap: Fraction | None = None
    leverage: int = 125


def maintenance(tiers: list[Tier], notional: Fraction) -> Fraction:
    """Return the maintenance margin of a notional: that of the last tier that begins at or below it."""
    tier = [tier for tier in tiers if tier.floor <= notional][-1]
    return notional * tier.rate - tier.cum


def liquidation_price(
    tiers: list[Tier], *, sign: int, size: Fraction, entry: Fraction, wallet: Fraction
) -> Fraction | None:
    """Return the mark at which wallet and profit of an isolated position equal its maintenance margin; None if there is none above 0."""
    for tier in tiers:
        price = (wallet + tier.cum - sign * size * entry) / (size * tier.rate - sign * size)
        if price > 0 and wallet + sign * size * (price - entry) == maintenance(tiers, size * price):
            return price
    return None


def funding(sign: int, size: Fraction, mark: Fraction, rate: Fraction) -> Fraction:
    """Return what a position receives at one funding stamp: longs pay a positive rate."""
    return money(-sign * size * mark * rate)
