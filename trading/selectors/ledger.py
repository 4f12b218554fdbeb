"""Sums over postings."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db.models import Sum

from trading.models import Book, Posting
from trading.models.orders import HouseAccount


def house_balances(book: Book) -> dict[str, Decimal]:
    """Return the balance of every house account of the book, 0 where nothing was posted. Queries once."""
    rows = (
        Posting.objects.filter(book=book, account=None)
        .values_list("house")
        .annotate(balance=Sum("amount"))
    )
    balances = {house: Decimal(0) for house in HouseAccount.values}
    balances.update({house: _money(balance) for house, balance in rows})
    return balances


def account_balances(book: Book) -> dict[uuid.UUID, Decimal]:
    """Return the sum of postings by account id; accounts without postings are left out. Queries once."""
    rows = (
        Posting.objects.filter(book=book, account__isnull=False)
        .values_list("account_id")
        .annotate(balance=Sum("amount"))
    )
    return {account: _money(balance) for account, balance in rows if account}


def _money(value: Decimal | None) -> Decimal:
    return Decimal(0) if value is None else value
