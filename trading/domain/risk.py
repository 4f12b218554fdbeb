"""The rules that an order must keep, each with its limit and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec, round_money
from trading.domain.denials import Denial, DenialCode, RuleCheck
from trading.domain.exits import wrong_side
from trading.domain.fees import execution_fee
from trading.domain.fills import Execution, book_execution, closing_part
from trading.domain.intents import OrderIntent, Side
from trading.domain.margin import AccountFigures, account_figures, initial_margin, notional
from trading.domain.money import MONEY_CAP, ZERO, exact, figure, money_figure, round_ratio
from trading.domain.pricing import taker_price
from trading.domain.rules import HUNDRED, BookRules
from trading.domain.sizing import unknown_symbol
from trading.domain.state import AccountState, OrderState, PositionState

Verdict = tuple[RuleCheck, Denial | None]

# A projected fill happens at no time.
_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCheck:
    """What the rules say of one order.

    ``expected_price`` is the price at which it was counted (None when there is no market for it); ``reserved`` is what must be set
    aside until it ends.
    """

    checks: tuple[RuleCheck, ...]
    denial: Denial | None
    expected_price: Decimal | None
    reserved: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Projection:
    """The account before the order and as it would be after its fill at the expected price.

    ``before`` and ``after`` take the symbol's waiting orders of the same side as filled; ``now_free`` is the free margin as it is.
    """

    intent: OrderIntent
    rules: BookRules
    price: Decimal
    mark: Decimal
    held: Decimal
    closing: Decimal
    now_free: Decimal
    before: AccountFigures
    after: AccountFigures
    position: PositionState | None
    result: PositionState | None
    waiting: tuple[OrderState, ...]
    open_symbols: frozenset[str]

    @property
    def opening(self) -> Decimal:
        return self.intent.quantity - self.closing

    @property
    def adds(self) -> bool:
        return self.held * self.intent.side.sign > 0

    @property
    def symbols_after(self) -> set[str]:
        """Return the symbols held after the fill, those that waiting orders will open counted in."""
        opening = {order.symbol for order in self.waiting if not order.intent.reduce_only}
        return {*self.open_symbols, *opening}

    @property
    def position_margin(self) -> Decimal:
        """Return the margin of the symbol's position after the fill, with what its waiting orders set aside."""
        own = sum(
            (order.reserved for order in self.waiting if order.symbol == self.intent.symbol), ZERO
        )
        if self.result is None:
            return own
        return own + initial_margin(self.result.quantity, self.mark, leverage=self.result.leverage)

    @property
    def reserve(self) -> Decimal:
        """Return what must be set aside while the order waits."""
        return max(ZERO, self.before.free_margin - self.after.free_margin)

    @property
    def opened_margin(self) -> Decimal:
        """Return the margin of the part that the order opens or adds."""
        if self.result is None:
            return ZERO
        margin = initial_margin(self.result.quantity, self.mark, leverage=self.result.leverage)
        if self.adds:
            margin -= initial_margin(self.held, self.mark, leverage=self.result.leverage)
        return margin

    @property
    def free(self) -> Decimal:
        """Return the free margin there is for the opening part: a flip frees the old position's first."""
        return self.before.equity - (self.after.used_margin - self.opened_margin)

    @property
    def needed(self) -> Decimal:
        """Return what the order takes of it: its margin times the buffer, its fee, and what crossing the spread loses."""
        margin = round_money(self.opened_margin * self.rules.margin_buffer)
        return margin + self.before.equity - self.after.equity


@exact
def check_order(
    state: AccountState, intent: OrderIntent, quote: Quote | None, rules: BookRules
) -> OrderCheck:
    """Look at every rule; the first one broken makes the denial.

    ``state`` needs the marks of its other open positions, but not for a reduce-only order; the symbol's own mark is the quote's. An
    order that only reduces is never refused for margin. One that opens must leave free margin at or above zero after its fill, fee and spread paid.
    """
    spec = rules.find_spec(intent.symbol)
    if spec is None:
        return _refused(unknown_symbol(intent.symbol, rules), limit=",".join(rules.symbols))
    if quote is None:
        return _refused(
            Denial(DenialCode.NO_QUOTE, {"symbol": intent.symbol}), limit="a quote", value=None
        )
    price = taker_price(quote, intent.side, rules=rules, spec=spec)
    basic = list(_size_rules(intent, spec, rules, price))
    if intent.quantity <= 0 or intent.leverage < 1:
        return _verdict(basic, price, ZERO)
    if intent.reduce_only:
        return _verdict([*basic, *_reduce_only_rules(state, intent)], price, ZERO)
    view = _project(state, intent, quote=quote, rules=rules, price=price)
    verdicts = [*basic, *_shape_rules(view), *_margin_rules(view)]
    return _verdict(verdicts, price, view.reserve)


def _refused(denial: Denial, *, limit: str, value: str | None = "") -> OrderCheck:
    found = denial.context.get("symbol", "") if value == "" else value
    check = RuleCheck(denial.code, limit, found, passed=False)
    return OrderCheck(checks=(check,), denial=denial, expected_price=None, reserved=ZERO)


def _verdict(verdicts: list[Verdict], price: Decimal, reserved: Decimal) -> OrderCheck:
    denial = next((denial for _, denial in verdicts if denial), None)
    return OrderCheck(
        checks=tuple(check for check, _ in verdicts),
        denial=denial,
        expected_price=price,
        reserved=ZERO if denial else reserved,
    )


def _rule(
    code: DenialCode, passed: bool, *, limit: str, value: str | None, **context: str
) -> Verdict:
    return RuleCheck(code, limit, value, passed), None if passed else Denial(code, context)


def _size_rules(
    intent: OrderIntent, spec: InstrumentSpec, rules: BookRules, price: Decimal
) -> Iterator[Verdict]:
    """Yield the rules that need nothing of the account."""
    if not intent.reduce_only:
        yield from _leverage_rules(intent, rules.leverage_limit(spec))
    asked = figure(intent.quantity)
    on_step = intent.quantity > 0 and intent.quantity % spec.step == 0
    step = figure(spec.step)
    yield _rule(
        DenialCode.QUANTITY_BELOW_STEP, on_step, limit=step, value=asked, asked=asked, step=step
    )
    # What is left of a position may be smaller than the smallest order: it must still get out.
    if not intent.reduce_only:
        least = figure(spec.min_quantity)
        yield _rule(
            DenialCode.BELOW_MIN_QUANTITY,
            intent.quantity >= spec.min_quantity,
            limit=least,
            value=asked,
            asked=asked,
            min=least,
        )
        worth, least = money_figure(notional(intent.quantity, price)), figure(spec.min_notional)
        yield _rule(
            DenialCode.BELOW_MIN_NOTIONAL,
            intent.quantity * price >= spec.min_notional,
            limit=least,
            value=worth,
            min=least,
            notional=worth,
        )
    if spec.max_quantity is not None:
        most = figure(spec.max_quantity)
        yield _rule(
            DenialCode.ABOVE_MAX_QUANTITY,
            intent.quantity <= spec.max_quantity,
            limit=most,
            value=asked,
            asked=asked,
            max=most,
        )


def _leverage_rules(intent: OrderIntent, most: int) -> Iterator[Verdict]:
    asked = figure(intent.leverage)
    yield _rule(
        DenialCode.LEVERAGE_BELOW_ONE,
        intent.leverage >= 1,
        limit="1",
        value=asked,
        asked=asked,
        min="1",
    )
    yield _rule(
        DenialCode.LEVERAGE_ABOVE_LIMIT,
        intent.leverage <= most,
        limit=str(most),
        value=asked,
        asked=asked,
        max=str(most),
    )


def _project(
    state: AccountState,
    intent: OrderIntent,
    *,
    quote: Quote,
    rules: BookRules,
    price: Decimal,
) -> _Projection:
    state = state.with_marks({intent.symbol: quote.mark})
    base = _with_same_side_filled(state, intent, rules)
    held = base.quantity(intent.symbol)
    closing = closing_part(held, intent.side, quantity=intent.quantity)
    order = _execution(intent, intent.quantity, price, rules)
    booked = book_execution(base, order).state
    return _Projection(
        intent=intent,
        rules=rules,
        price=price,
        mark=quote.mark,
        held=held,
        closing=closing,
        now_free=account_figures(state).free_margin,
        before=account_figures(base),
        after=account_figures(booked),
        position=base.positions.get(intent.symbol),
        result=booked.positions.get(intent.symbol),
        waiting=tuple(base.orders.values()),
        open_symbols=frozenset(booked.positions),
    )


def _with_same_side_filled(
    state: AccountState, intent: OrderIntent, rules: BookRules
) -> AccountState:
    """Return the account as if the symbol's waiting orders of the same side were filled.

    That is the worst case for margin: what they will close cannot be closed again. Waiting orders of the other side stay what they
    are, a reserve.
    """
    for order in list(state.orders.values()):
        if order.symbol == intent.symbol and order.side is intent.side:
            waiting = _execution(order.intent, order.remaining, order.expected_price, rules)
            state = book_execution(state, waiting).state.without_order(order.client_order_id)
    return state


def _execution(
    intent: OrderIntent, quantity: Decimal, price: Decimal, rules: BookRules
) -> Execution:
    return Execution(
        symbol=intent.symbol,
        side=intent.side,
        quantity=quantity,
        price=price,
        fee=execution_fee(quantity, price, rules=rules),
        leverage=intent.leverage,
        at=_NO_TIME,
    )


def _shape_rules(view: _Projection) -> Iterator[Verdict]:
    """Yield the rules on what the position becomes."""
    if not view.opening:
        return
    is_long = view.intent.side is Side.BUY
    yield _rule(
        DenialCode.SHORTING_NOT_ALLOWED,
        is_long or view.rules.allow_short,
        limit="long and short" if view.rules.allow_short else "long only",
        value="long" if is_long else "short",
        symbol=view.intent.symbol,
    )
    if view.adds:
        yield from _adding_rules(view)
    most = str(view.rules.max_open_positions)
    count = str(len(view.symbols_after))
    yield _rule(
        DenialCode.TOO_MANY_POSITIONS,
        len(view.symbols_after) <= view.rules.max_open_positions,
        limit=most,
        value=count,
        max=most,
        open=count,
    )
    assert view.result is not None
    worth = max(notional(view.result.quantity, view.mark), view.result.entry_cost)
    yield _rule(
        DenialCode.ABOVE_MAX_NOTIONAL,
        worth <= MONEY_CAP,
        limit=money_figure(MONEY_CAP),
        value=money_figure(worth),
        max=money_figure(MONEY_CAP),
        notional=money_figure(worth),
    )
    yield _exits_rule(view, is_long=is_long)


def _reduce_only_rules(state: AccountState, intent: OrderIntent) -> Iterator[Verdict]:
    """Yield the rules on an order that may only close what other orders do not close already; it needs no marks."""
    held_quantity = state.quantity(intent.symbol)
    waiting = sum(
        (
            order.remaining
            for order in state.orders.values()
            if order.symbol == intent.symbol and order.side is intent.side
        ),
        ZERO,
    )
    against = held_quantity * intent.side.sign < 0
    closable = max(abs(held_quantity) - waiting, ZERO) if against else ZERO
    asked, held = figure(intent.quantity), figure(closable)
    yield _rule(
        DenialCode.NO_POSITION,
        closable > 0,
        limit="a position",
        value=held,
        symbol=intent.symbol,
    )
    yield _rule(
        DenialCode.REDUCE_ONLY_WOULD_INCREASE,
        intent.quantity <= closable,
        limit=held,
        value=asked,
        asked=asked,
        position=held,
    )


def _adding_rules(view: _Projection) -> Iterator[Verdict]:
    assert view.position is not None
    yield _rule(
        DenialCode.PYRAMIDING_NOT_ALLOWED,
        view.rules.allow_pyramiding,
        limit="adding allowed" if view.rules.allow_pyramiding else "one entry a position",
        value="adds",
        position=figure(abs(view.held)),
        symbol=view.intent.symbol,
    )
    asked, held = str(view.intent.leverage), str(view.position.leverage)
    yield _rule(
        DenialCode.LEVERAGE_CONFLICT,
        asked == held,
        limit=held,
        value=asked,
        asked=asked,
        position=held,
    )


def _exits_rule(view: _Projection, *, is_long: bool) -> Verdict:
    denial = wrong_side(view.intent.exits, is_long=is_long, price=view.price)
    levels = [
        figure(level)
        for level in (view.intent.exits.stop_loss, view.intent.exits.take_profit)
        if level is not None
    ]
    check = RuleCheck(
        DenialCode.EXITS_ON_WRONG_SIDE,
        f"either side of {figure(view.price)}",
        " / ".join(levels) or None,
        passed=denial is None,
    )
    return check, denial


def _margin_rules(view: _Projection) -> Iterator[Verdict]:
    """Yield the rules on money; an order that only reduces is not asked."""
    if not view.opening:
        return
    free, needed = view.free, view.needed
    if needed <= free and view.reserve > view.now_free:
        # Only with other orders waiting: what they may free is not free yet.
        free, needed = view.now_free, view.reserve
    yield _rule(
        DenialCode.INSUFFICIENT_MARGIN,
        needed <= free,
        limit=money_figure(free),
        value=money_figure(needed),
        free=money_figure(free),
        needed=money_figure(needed),
    )
    yield _percentage_rule(
        DenialCode.POSITION_SHARE_ABOVE_LIMIT,
        view.position_margin,
        view.after.equity,
        most=view.rules.max_position_size_pct,
        name="share",
    )
    yield _percentage_rule(
        DenialCode.MARGIN_USAGE_ABOVE_LIMIT,
        view.after.used_margin,
        view.after.equity,
        most=view.rules.max_margin_usage_pct,
        name="usage",
    )


def _percentage_rule(
    code: DenialCode, part: Decimal, whole: Decimal, *, most: Decimal, name: str
) -> Verdict:
    limit = figure(most)
    if whole <= 0:
        return _rule(code, False, limit=limit, value=None, equity=money_figure(whole), max=limit)
    found = figure(round_ratio(part / whole * HUNDRED))
    return _rule(
        code, part * HUNDRED <= most * whole, limit=limit, value=found, max=limit, **{name: found}
    )
