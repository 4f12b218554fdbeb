"""Accounts and everything booked on them, held against the rows that the replay makes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.db import models

from competitions.services.journal import Journal, Row
from competitions.services.replaying import Replay
from competitions.services.verifying.columns import (
    Links,
    Seats,
    differences,
    stray,
    table_differences,
)
from trading.models import (
    Account,
    Book,
    EquityPoint,
    EquityRollup,
    Fill,
    Order,
    Position,
    Posting,
    Standing,
)
from trading.models.accounts import AccountStatus


def order_name(key: str) -> str:
    return f"order {key}"


def fill_name(key: tuple[Any, int]) -> str:
    return f"fill {key[0]}/{key[1]}"


def posting_name(key: tuple[str, int]) -> str:
    return f"posting {key[0]}/{key[1]}"


def point_name(key: tuple[Any, int]) -> str:
    return f"equity point {key[0]}/{key[1]}"


def position_name(key: tuple[Any, int]) -> str:
    return f"position {key[0]}/{key[1]}"


class LedgerCheck:
    """Compares what was booked, a piece of the season at a time, and at the end whatever nobody asked for."""

    def __init__(self, book: Book, journal: Journal) -> None:
        self.book = book
        self.journal = journal
        self.seats = Seats(book)
        self._seen: dict[type[models.Model], set[Any]] = defaultdict(set)

    def piece(self) -> Iterator[str]:
        """Yield the differences in what the journal holds since the last piece, and let it forget that."""
        yield from self._orders()
        yield from self._fills()
        yield from self._postings()
        yield from self._points()
        self.journal.forget()

    def _orders(self) -> Iterator[str]:
        yield from self._compared_orders(self.journal.ended_orders())

    def _compared_orders(self, wanted: dict[str, Row]) -> Iterator[str]:
        stored = {
            row.client_order_id: row
            for row in Order.objects.filter(client_order_id__in=list(wanted))
        }
        yield from self._compared(stored, wanted, order_name, self.seats.link)

    def _fills(self) -> Iterator[str]:
        wanted = self.journal.fills
        names = {row["order"] for row in wanted.values()}
        rows = Fill.objects.select_related("order")
        stored = {
            (self.seats.of(row.account_id), row.seq): row
            for row in rows.filter(order__client_order_id__in=names)
        }
        for ordinal, seq in wanted.keys() - stored.keys():
            # One that says that it is of another order.
            for row in rows.filter(account__book=self.book, account__ordinal=ordinal, seq=seq):
                stored[ordinal, seq] = row
        links: Links = {**self.seats.link, "order": lambda row: row.order.client_order_id}
        yield from self._compared(stored, wanted, fill_name, links)

    def _postings(self) -> Iterator[str]:
        wanted = self.journal.postings
        causes = {cause_id for cause_id, _ in wanted}
        rows = Posting.objects.filter(book=self.book, cause_id__in=causes).select_related("fill")
        stored = {(row.cause_id, row.line): row for row in rows}
        links: Links = {**self.seats.link, "fill": self._fill_of}
        yield from self._compared(stored, wanted, posting_name, links)

    def _fill_of(self, row: Posting) -> tuple[Any, int] | None:
        return None if row.fill is None else (self.seats.of(row.fill.account_id), row.fill.seq)

    def _points(self) -> Iterator[str]:
        wanted = self.journal.equity
        numbers = {number for _, number in wanted}
        rows = EquityPoint.objects.filter(account__book=self.book, number__in=numbers)
        stored = {(self.seats.of(row.account_id), row.number): row for row in rows}
        yield from self._compared(stored, wanted, point_name, self.seats.link)

    def _compared(self, stored: Any, wanted: Any, name: Any, links: Links) -> Iterator[str]:
        for key in wanted:
            if key in stored:
                self._seen[type(stored[key])].add(stored[key].pk)
        yield from table_differences(stored, wanted, name=name, links=links)

    def strays(self) -> Iterator[str]:
        """Yield the rows of the book that no piece asked for; of a season that stands still."""
        of_book = {"account__book": self.book}
        yield from self._strays(Order, of_book, ("client_order_id",), order_name)
        yield from self._strays(Fill, of_book, ("account__ordinal", "seq"), fill_name)
        yield from self._strays(Posting, {"book": self.book}, ("cause_id", "line"), posting_name)
        yield from self._strays(EquityPoint, of_book, ("account__ordinal", "number"), point_name)

    def _strays(
        self, model: type[models.Model], of_book: dict[str, Any], key: tuple[str, ...], name: Any
    ) -> Iterator[str]:
        seen = self._seen[model]
        for pk, *parts in model._default_manager.filter(**of_book).values_list("pk", *key):
            if pk not in seen:
                yield stray(name(parts[0] if len(key) == 1 else tuple(parts)))

    def status(self, ordinal: int) -> str:
        """Return the status that the account should have by now."""
        is_out = ordinal in self.journal.wiped_out
        return (AccountStatus.LIQUIDATED if is_out else AccountStatus.ACTIVE).value

    def waiting(self) -> Iterator[str]:
        """Yield the differences in the orders that wait; of a season that stands still."""
        waiting = self.journal.orders.keys() - self.journal.ended_orders().keys()
        yield from self._compared_orders(
            {name: self.journal.orders[name] for name in sorted(waiting)}
        )

    def projections(self, replay: Replay) -> Iterator[str]:
        """Yield the differences in what follows from all that was booked; of a season that stands still."""
        accounts = {row.ordinal: row for row in Account.objects.filter(book=self.book)}
        yield from table_differences(
            accounts,
            {
                ordinal: {"wallet": state.wallet, "status": self.status(ordinal)}
                for ordinal, state in replay.states.items()
            },
            name=lambda ordinal: f"account {ordinal}",
        )
        link = self.seats.link
        positions = Position.objects.filter(account__book=self.book)
        yield from table_differences(
            {(self.seats.of(row.account_id), row.seq): row for row in positions},
            self.journal.positions,
            name=position_name,
            links=link,
        )
        rollups = EquityRollup.objects.filter(account__book=self.book)
        yield from table_differences(
            {(self.seats.of(row.account_id), row.span, row.start_at): row for row in rollups},
            self.journal.rollups,
            name=lambda key: f"rollup {key[0]} {key[1]} {key[2]:%Y-%m-%dT%H:%M}",
            links=link,
        )
        standings = Standing.objects.filter(account__book=self.book)
        stored = {self.seats.of(row.account_id): row for row in standings}
        for ordinal, wanted in self.journal.standings(replay.states):
            yield from differences(f"standing {ordinal}", stored.get(ordinal), wanted, link)
