"""Writing projections anew: rows that follow from postings, fills, equity points and tape, and may be made again at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import models, transaction

from trading.models import Account, Book, EquityRollup, Position, Standing
from trading.services.locks import lock_book

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projections:
    """What the accounts of a book should be, by ordinal; each row by its columns, ``account`` being the ordinal.

    ``tape`` holds the columns of the book that count its tape.
    """

    wallets: Mapping[int, Decimal]
    statuses: Mapping[int, str]
    positions: Sequence[Row]
    rollups: Sequence[Row]
    standings: Sequence[Row]
    tape: Row


@transaction.atomic
def rewrite_projections(book: Book, wanted: Projections) -> None:
    """Make the projections of the book exactly these: rows that differ are changed, missing ones made, others taken away.

    Locks the book and all its accounts. Raises KeyError for an ordinal without an account.
    """
    locked = lock_book(book.pk)
    _change(locked, wanted.tape)
    rows = Account.objects.select_for_update().filter(book=locked).order_by("ordinal")
    accounts = {account.ordinal: account for account in rows}
    for ordinal, wallet in wanted.wallets.items():
        _change(accounts[ordinal], {"wallet": wallet, "status": wanted.statuses[ordinal]})
    _rewrite(Position, accounts, wanted.positions, lambda row: row.seq)
    _rewrite(EquityRollup, accounts, wanted.rollups, lambda row: (row.span, row.start_at))
    _rewrite(Standing, accounts, wanted.standings, lambda row: None)


def _rewrite(
    model: type[Position] | type[EquityRollup] | type[Standing],
    accounts: Mapping[int, Account],
    wanted: Sequence[Row],
    key: Callable[[Any], Any],
) -> None:
    stored: dict[Any, Any] = {
        (row.account_id, key(row)): row
        for row in model._default_manager.filter(account__in=accounts.values())
    }
    made: list[Any] = [model(**{**row, "account": accounts[row["account"]]}) for row in wanted]
    names = {(row.account_id, key(row)) for row in made}
    # Taken away first, and changed in order: at most one position of a symbol may be open at any time.
    for name, row in stored.items():
        if name not in names:
            row.delete()
    for fresh, columns in zip(made, wanted, strict=True):
        found = stored.get((fresh.account_id, key(fresh)))
        if found is None:
            fresh.save(force_insert=True)
        else:
            _change(found, {name: columns[name] for name in columns if name != "account"})


def _change(row: models.Model, wanted: Row) -> None:
    changed = [name for name, value in wanted.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, wanted[name])
    if changed:
        row.save(update_fields=changed)
