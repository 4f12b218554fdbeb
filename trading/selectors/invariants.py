"""What may never be untrue of a book, looked at row by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Sum

from marketdata.append_only import trigger_name
from trading.domain.fills import Execution, book_execution
from trading.domain.intents import Exits, Side
from trading.domain.money import ZERO
from trading.domain.rules import BookRules
from trading.domain.standings import Drawdown
from trading.domain.state import AccountState, PositionState
from trading.models import (
    Account,
    Book,
    EquityPoint,
    Fill,
    OperatorAct,
    Order,
    Position,
    Posting,
    Standing,
    TapeSegment,
)
from trading.models.orders import OrderCause, PostingKind
from trading.models.positions import PositionStatus
from trading.selectors.ledger import account_balances

APPEND_ONLY = (EquityPoint, Fill, OperatorAct, Posting, TapeSegment)


def check_invariants(book: Book) -> list[str]:
    """Return every disagreement found in the book, each naming the row; empty when all is well.

    Looks at: wallets and posting groups, holdings as the sum of their fills, equity points, limits, the cause behind each order,
    standings, the tape's numbering, and the triggers that keep rows from being changed. Reads one consistent state, also while the
    season runs.
    """
    with one_view():
        ledgers = _replayed(book)
        return [
            *_wallets(book),
            *_groups(book),
            *_holdings(book, ledgers),
            *_equity(book),
            *_limits(book),
            *_causes(book),
            *_standings(book, ledgers),
            *_tape(book),
            *_triggers(),
        ]


@contextmanager
def one_view() -> Iterator[None]:
    """Let everything read inside be of one instant, without keeping anybody from writing; inside a transaction, of that one."""
    connection.ensure_connection()
    if connection.in_atomic_block or (
        connection.vendor == "sqlite" and connection.connection.in_transaction
    ):
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        # A transaction of Django's would be IMMEDIATE here, and hold up the clock.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


@dataclass(slots=True)
class _Ledger:
    """An account made anew from its fills alone."""

    state: AccountState
    holdings: dict[int, PositionState]
    faults: list[str]
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0


def _replayed(book: Book) -> dict[object, _Ledger]:
    ledgers: dict[object, _Ledger] = {
        account.pk: _Ledger(AccountState(ordinal=account.ordinal), {}, [])
        for account in Account.objects.filter(book=book).order_by("ordinal")
    }
    fills = Fill.objects.filter(account__book=book).select_related("order")
    for fill in fills.order_by("account_id", "seq"):
        _replay(ledgers[fill.account_id], fill)
    paid = Posting.objects.filter(
        book=book, kind=PostingKind.FUNDING, account__isnull=False
    ).order_by("at", "cause_id")
    for posting in paid:
        _fund(ledgers[posting.account_id], posting)
    return ledgers


def _fund(ledger: _Ledger, posting: Posting) -> None:
    """Put a funding payment on the holding that there was at its stamp: the last one of the symbol that was opened until then."""
    symbol = posting.cause_id.split(":")[2]
    there = [
        held
        for held in ledger.holdings.values()
        if held.symbol == symbol and held.opened_at <= posting.at
    ]
    if not there:
        ledger.faults.append(f"postings {posting.cause_id}: nothing of {symbol} was held then")
        return
    held = max(there, key=lambda held: held.seq)
    ledger.holdings[held.seq] = replace(held, funding=held.funding + posting.amount)


def _replay(ledger: _Ledger, fill: Fill) -> None:
    name = f"fill {ledger.state.ordinal}/{fill.seq}"
    booking = book_execution(
        ledger.state,
        Execution(
            symbol=fill.symbol,
            side=Side(fill.side),
            quantity=fill.quantity,
            price=fill.price,
            fee=fill.fee,
            leverage=fill.order.leverage,
            at=fill.at,
            exits=Exits(),
        ),
    )
    ledger.state = booking.state
    ledger.realised += fill.realised
    ledger.fees += fill.fee
    ledger.fills += 1
    for holding in booking.positions:
        ledger.holdings[holding.seq] = holding
    if booking.seq != fill.seq:
        ledger.faults.append(f"{name}: number {booking.seq} is wanted")
    if booking.realised != fill.realised:
        ledger.faults.append(f"{name}: realised {fill.realised}, its fills make {booking.realised}")


def _wallets(book: Book) -> Iterator[str]:
    balances = account_balances(book)
    for account in Account.objects.filter(book=book).order_by("ordinal"):
        posted = balances.get(account.pk, ZERO)
        if account.wallet != posted:
            yield f"account {account.ordinal}: wallet {account.wallet}, its postings sum to {posted}"


def _groups(book: Book) -> Iterator[str]:
    sums = Posting.objects.filter(book=book).values_list("cause_id").annotate(total=Sum("amount"))
    for cause_id, total in sums.order_by("cause_id"):
        if total:
            yield f"postings {cause_id}: they sum to {total}, not to 0"


def _holdings(book: Book, ledgers: dict[object, _Ledger]) -> Iterator[str]:
    stored: dict[object, dict[int, Position]] = defaultdict(dict)
    for row in Position.objects.filter(account__book=book):
        stored[row.account_id][row.seq] = row
    for key, ledger in ledgers.items():
        yield from ledger.faults
        ordinal = ledger.state.ordinal
        for seq in sorted(ledger.holdings.keys() ^ stored[key].keys()):
            where = "its fills" if seq in ledger.holdings else "the positions"
            yield f"position {ordinal}/{seq}: found among {where} only"
        for seq in sorted(ledger.holdings.keys() & stored[key].keys()):
            yield from _holding(ordinal, stored[key][seq], ledger.holdings[seq])


def _holding(ordinal: int, row: Position, made: PositionState) -> Iterator[str]:
    for name in (
        "symbol",
        "quantity",
        "entry_cost",
        "leverage",
        "entered_quantity",
        "entered_cost",
        "exited_quantity",
        "exited_proceeds",
        "realised",
        "fees",
        "funding",
    ):
        found, wanted = getattr(row, name), getattr(made, name)
        if found != wanted:
            yield f"position {ordinal}/{row.seq}: {name} {found}, its fills make {wanted}"
    if (row.status == PositionStatus.CLOSED) != made.is_closed:
        yield f"position {ordinal}/{row.seq}: {row.status} with a quantity of {made.quantity}"


def _equity(book: Book) -> Iterator[str]:
    for point in EquityPoint.objects.filter(account__book=book).select_related("account"):
        if point.equity != point.wallet + point.unrealised:
            yield (
                f"equity point {point.account.ordinal}/{point.number}: equity {point.equity}, "
                f"wallet and unrealised make {point.wallet + point.unrealised}"
            )


def _limits(book: Book) -> Iterator[str]:
    rules = book.frozen_rules()
    held: dict[int, int] = defaultdict(int)
    for row in Position.objects.filter(account__book=book).select_related("account"):
        name = f"position {row.account.ordinal}/{row.seq}"
        held[row.account.ordinal] += row.status == PositionStatus.OPEN
        yield from _position_limits(name, row, rules)
    for ordinal, count in sorted(held.items()):
        if count > rules.max_open_positions:
            yield f"account {ordinal}: {count} open positions, at most {rules.max_open_positions}"


def _position_limits(name: str, row: Position, rules: BookRules) -> Iterator[str]:
    spec = rules.find_spec(row.symbol)
    if spec is None:
        yield f"{name}: {row.symbol} is not traded in this book"
    elif row.leverage > rules.leverage_limit(spec):
        yield f"{name}: leverage {row.leverage}, at most {rules.leverage_limit(spec)}"
    if not (row.is_long or rules.allow_short):
        yield f"{name}: short, where the book allows none"


def _causes(book: Book) -> Iterator[str]:
    orphans = Order.objects.filter(
        account__book=book, cause=OrderCause.INSTRUCTION, turn_key=""
    ).order_by("client_order_id")
    for order in orphans:
        yield f"order {order.client_order_id}: caused by an instruction of no turn"
    operator = Order.objects.filter(account__book=book, cause=OrderCause.OPERATOR)
    for order in operator.order_by("client_order_id"):
        if not order.client_order_id.startswith(f"a{book.code}-x"):
            yield f"order {order.client_order_id}: names no operator act"
    endings = Order.objects.filter(
        account__book=book,
        cause__in=[OrderCause.EXIT, OrderCause.LIQUIDATION, OrderCause.DRAWDOWN],
    ).select_related("account")
    for order in endings.order_by("client_order_id"):
        if not order.client_order_id.startswith(f"a{book.code}-p{order.account.ordinal}-"):
            yield f"order {order.client_order_id}: names no holding of account {order.account.ordinal}"


def _standings(book: Book, ledgers: dict[object, _Ledger]) -> Iterator[str]:
    points: dict[object, list[EquityPoint]] = defaultdict(list)
    for point in EquityPoint.objects.filter(account__book=book).order_by("number"):
        points[point.account_id].append(point)
    paid = _posted(book)
    for standing in Standing.objects.filter(account__book=book).select_related("account"):
        ledger = ledgers[standing.account_id]
        wanted = _wanted_standing(ledger, points[standing.account_id])
        wanted |= paid[standing.account_id]
        for name, value in wanted.items():
            if getattr(standing, name) != value:
                yield (
                    f"standing {standing.account.ordinal}: {name} {getattr(standing, name)}, "
                    f"the records make {value}"
                )


def _posted(book: Book) -> dict[object, dict[str, Decimal]]:
    """Return what the postings say of each account's profit, fees (clearance among them) and funding."""
    signs = {
        PostingKind.REALISED: 1,
        PostingKind.FEE: -1,
        PostingKind.CLEARANCE: -1,
        PostingKind.FUNDING: 1,
    }
    names = {
        PostingKind.REALISED: "realised",
        PostingKind.FEE: "fees",
        PostingKind.CLEARANCE: "fees",
        PostingKind.FUNDING: "funding",
    }
    empty = dict.fromkeys(names.values(), ZERO)
    found: dict[object, dict[str, Decimal]] = defaultdict(lambda: dict(empty))
    rows = (
        Posting.objects.filter(book=book, account__isnull=False, kind__in=list(names))
        .values_list("account_id", "kind")
        .annotate(total=Sum("amount"))
    )
    for account_id, kind, total in rows:
        code = PostingKind(kind)
        found[account_id][names[code]] += total * signs[code]
    return found


def _wanted_standing(ledger: _Ledger, points: list[EquityPoint]) -> dict[str, object]:
    closed = [holding for holding in ledger.holdings.values() if holding.is_closed]
    wanted: dict[str, object] = {
        "fills": ledger.fills,
        "trades": len(closed),
        "wins": sum(holding.net_result > 0 for holding in closed),
    }
    if not points:
        return wanted
    drawdown = Drawdown(points[0].equity, ZERO)
    for point in points:
        drawdown = drawdown.after(point.equity)
    last = points[-1]
    return wanted | {
        "number": last.number,
        "equity": last.equity,
        "unrealised": last.unrealised,
        "start_capital": points[0].equity,
        "peak": drawdown.peak,
        "max_drawdown": drawdown.largest,
    }


def _tape(book: Book) -> Iterator[str]:
    position = 0
    for segment in TapeSegment.objects.filter(book=book).order_by("seq"):
        if segment.first_position != position:
            yield f"tape segment {segment.seq}: begins at {segment.first_position}, not {position}"
        position = segment.first_position + segment.count
    if position != Book.objects.values_list("tape_position", flat=True).get(pk=book.pk):
        yield f"tape: it holds {position} events, the book counts another number"


def _triggers() -> Iterator[str]:
    """Yield the append-only tables that a change could slip into: those without their trigger."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        found = {row[0] for row in cursor.fetchall()}
    for model in APPEND_ONLY:
        if trigger_name(model) not in found:
            yield f"table {model._meta.db_table}: its rows can be changed, the trigger is missing"
