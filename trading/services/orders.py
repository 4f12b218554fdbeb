"""Taking orders: checked, reserved and stored before anything is sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F

from marketdata.domain.facts import Quote
from trading.domain.denials import Denial, DenialCode, RuleCheck
from trading.domain.engine import step
from trading.domain.events import OrderAsked
from trading.domain.intents import Exits, OrderIntent, Side, Wish, WishAction
from trading.domain.outcome import OrderChange
from trading.domain.rules import BookRules
from trading.domain.sizing import size_instruction, unknown_symbol
from trading.domain.state import AccountState
from trading.models import Account, Book, Order, Standing
from trading.models.accounts import AccountStatus
from trading.models.books import BookState
from trading.models.orders import OrderCause, OrderStatus
from trading.services.accounts import load_state, with_tape_marks
from trading.services.locks import lock_to_trade
from trading.services.pace import decisions_last_hour
from trading.services.reports import apply_report
from trading.venues import open_venue


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSlip:
    """Where an order comes from and when: everything about it except what it wants."""

    client_order_id: str
    cause: OrderCause
    turn_key: str
    leg: int
    market_at: datetime
    tape_position: int
    now: datetime


def accept_order(
    account_id: uuid.UUID,
    wish: Wish,
    quote: Quote | None,
    *,
    client_order_id: str,
    cause: OrderCause,
    market_at: datetime,
    tape_position: int,
    now: datetime,
    turn_key: str = "",
    leg: int = 0,
    epoch: int | None = None,
    marks: Mapping[str, Decimal] | None = None,
) -> Order:
    """Check a wish, reserve its margin and store it as SUBMITTING, or as DENIED with the reason; one transaction.

    A known ``client_order_id`` gives the order that is there already. ``quote`` None means that the symbol has none (denied).
    ``epoch`` is the book's at the time of the decision: exposure may grow only while it has not changed. ``marks`` are those of the
    account's other positions; what is missing is read off the tape at ``tape_position``.
    """
    slip = OrderSlip(
        client_order_id=client_order_id,
        cause=cause,
        turn_key=turn_key,
        leg=leg,
        market_at=market_at,
        tape_position=tape_position,
        now=now,
    )
    return _accept(account_id, wish, quote, slip, epoch=epoch, marks=marks or {})


def place_order(
    account_id: uuid.UUID,
    wish: Wish,
    quote: Quote | None,
    *,
    client_order_id: str,
    cause: OrderCause,
    market_at: datetime,
    tape_position: int,
    now: datetime,
    turn_key: str = "",
    leg: int = 0,
    epoch: int | None = None,
    marks: Mapping[str, Decimal] | None = None,
) -> Order:
    """Accept the order, send it to the book's venue and book the report; return the order as it then stands.

    Calling it again after a crash goes on where it stopped and fills nothing twice. Must be called outside any transaction.
    """
    order = accept_order(
        account_id,
        wish,
        quote,
        client_order_id=client_order_id,
        cause=cause,
        market_at=market_at,
        tape_position=tape_position,
        now=now,
        turn_key=turn_key,
        leg=leg,
        epoch=epoch,
        marks=marks,
    )
    if order.status != OrderStatus.SUBMITTING or quote is None:
        return order
    book = order.account.book
    report = open_venue(book.venue).send(order, quote, book.frozen_rules())
    fill = apply_report(order.pk, report, tape_position=tape_position, now=now)
    if fill is not None:
        return fill.order
    order.refresh_from_db()
    return order


@transaction.atomic
def _accept(
    account_id: uuid.UUID,
    wish: Wish,
    quote: Quote | None,
    slip: OrderSlip,
    *,
    epoch: int | None,
    marks: Mapping[str, Decimal],
) -> Order:
    if quote is not None and quote.symbol != wish.symbol:
        raise ValueError(f"a quote of {wish.symbol} is wanted, was one of {quote.symbol}")
    account = lock_to_trade(account_id)
    book = account.book
    known = Order.objects.filter(client_order_id=slip.client_order_id).first()
    if known is not None:
        known.account = account
        return known
    rules = book.frozen_rules()
    if rules.needs_ticks:
        # What happened to the account between its turns is told by the tape, and so is what it is worth.
        slip, marks = replace(slip, tape_position=book.tape_position), {}
    state = load_state(account, marks, is_numbered=False)
    state = with_tape_marks(
        state, book.pk, tape_position=slip.tape_position, known=[quote.symbol] if quote else ()
    )
    if quote is not None:
        state = state.with_marks({quote.symbol: quote.mark})
    intent = _intent(state, wish, quote, rules)
    barred = _bar(book, account, wish, cause=slip.cause, epoch=epoch)
    if barred or isinstance(intent, Denial) or quote is None:
        denial = barred or intent
        assert isinstance(denial, Denial)
        return _deny(account, wish, slip, denial=denial, state=state, rules=rules)
    return _store(account, intent, quote, slip, state=state, rules=rules)


def _intent(
    state: AccountState, wish: Wish, quote: Quote | None, rules: BookRules
) -> OrderIntent | Denial:
    if rules.find_spec(wish.symbol) is None:
        return unknown_symbol(wish.symbol, rules)
    if quote is None:
        return Denial(DenialCode.NO_QUOTE, {"symbol": wish.symbol})
    unmarked = sorted(set(state.positions) - set(state.marks))
    if wish.opens and unmarked:
        return Denial(DenialCode.NO_QUOTE, {"symbol": unmarked[0]})
    return size_instruction(state, wish, quote, rules)


def _bar(
    book: Book, account: Account, wish: Wish, *, cause: OrderCause, epoch: int | None
) -> Denial | None:
    """Return why the book or the account takes no such order now, None when it does."""
    if account.status != AccountStatus.ACTIVE:
        return Denial(DenialCode.ACCOUNT_NOT_ACTIVE, {"status": account.status})
    if wish.opens:
        taken = {BookState.RUNNING}
    elif cause == OrderCause.OPERATOR:
        taken = {BookState.RUNNING, BookState.PAUSED, BookState.REDUCING, BookState.HALTED}
    else:
        taken = {BookState.RUNNING, BookState.PAUSED, BookState.REDUCING}
    if book.state not in taken:
        return Denial(DenialCode.BOOK_NOT_RUNNING, {"state": book.state})
    if wish.opens and epoch is not None and book.epoch != epoch:
        return Denial(
            DenialCode.BOOK_NOT_RUNNING,
            {"state": book.state, "epoch": str(book.epoch), "decided_in_epoch": str(epoch)},
        )
    return None


def _store(
    account: Account,
    intent: OrderIntent,
    quote: Quote,
    slip: OrderSlip,
    *,
    state: AccountState,
    rules: BookRules,
) -> Order:
    made = decisions_last_hour(account, rules, market_at=slip.market_at, turn_key=slip.turn_key)
    asked = OrderAsked(slip.market_at, slip.client_order_id, intent, quote, made)
    outcome = step(state, asked, rules)
    denial = outcome.denials[0] if outcome.denials else None
    if not denial:
        # On tick and step, as it was checked.
        intent = outcome.state.orders[slip.client_order_id].intent
    order = _row(
        account, intent, slip, denial=denial, checks=outcome.checks, change=outcome.orders[0]
    )
    order.save(force_insert=True)
    if denial:
        _count_denial(account)
    return order


def _deny(
    account: Account,
    wish: Wish,
    slip: OrderSlip,
    *,
    denial: Denial,
    state: AccountState,
    rules: BookRules,
) -> Order:
    """Store an order that was refused before it was sized: its quantity is 0."""
    held = state.positions.get(wish.symbol)
    side = Side.BUY if wish.action is WishAction.OPEN_LONG else Side.SELL
    if not wish.opens and held is not None:
        side = Side.closing(held.quantity)
    intent = OrderIntent(
        symbol=wish.symbol[:32],
        side=side,
        quantity=Decimal(0),
        leverage=wish.leverage or (held.leverage if held else rules.default_leverage),
        reduce_only=not wish.opens,
        kind=wish.kind,
        time_in_force=wish.time_in_force,
        exits=Exits(invalidation=wish.invalidation),
    )
    check = RuleCheck(denial.code, "", None, passed=False)
    order = _row(account, intent, slip, denial=denial, checks=(check,), change=None)
    order.save(force_insert=True)
    _count_denial(account)
    return order


def _row(
    account: Account,
    intent: OrderIntent,
    slip: OrderSlip,
    *,
    denial: Denial | None,
    checks: tuple[RuleCheck, ...],
    change: OrderChange | None,
) -> Order:
    exits = intent.exits
    if denial:
        # Prices of a refused order may be anything, also what no column holds; its wish is kept with the decision.
        exits = Exits(invalidation=exits.invalidation)
        intent = intent.unpriced()
    return Order(
        account=account,
        client_order_id=slip.client_order_id,
        cause=slip.cause,
        turn_key=slip.turn_key,
        leg=slip.leg,
        symbol=intent.symbol,
        side=intent.side.value,
        kind=intent.kind.value,
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        trigger_price=intent.trigger_price,
        callback_rate=intent.callback_rate,
        activation_price=intent.activation_price,
        time_in_force=intent.time_in_force.value if intent.time_in_force else "",
        reduce_only=intent.reduce_only,
        close_position=intent.close_position,
        leverage=min(max(intent.leverage, 0), 32767),
        status=OrderStatus.DENIED if denial else OrderStatus.SUBMITTING,
        reserved=change.reserved if change else Decimal(0),
        expected_price=change.expected_price if change else None,
        stop_loss=exits.stop_loss,
        take_profit=exits.take_profit,
        exit_callback_rate=exits.callback_rate,
        exit_activation_price=exits.activation_price,
        invalidation=exits.invalidation[:500],
        denial_code=denial.code.value if denial else "",
        denial_context=dict(denial.context) if denial else {},
        checks=[check.as_json() for check in checks],
        tape_position=slip.tape_position,
        market_at=slip.market_at,
        created_at=slip.now,
        updated_at=slip.now,
    )


def _count_denial(account: Account) -> None:
    Standing.objects.filter(account=account).update(denials=F("denials") + 1)
