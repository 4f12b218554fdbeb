"""Books: made once, when a competition starts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from trading.domain.engine import step
from trading.domain.events import CapitalPaid
from trading.domain.outcome import PostingLine
from trading.domain.rules import BookRules
from trading.domain.state import AccountState
from trading.models import Account, Book, EquityPoint, Posting, Standing


@transaction.atomic
def open_book(
    *,
    venue: str,
    rules: BookRules,
    roster: Sequence[int],
    capital: Decimal,
    market_at: datetime,
    now: datetime,
) -> Book:
    """Make a running book with one funded account per ordinal of ``roster``, its equity point 0 and its standing.

    Raises:
        ValueError: For an empty roster, an ordinal that is listed twice or below 1, or a capital outside 0 to 1e9.
    """
    ordinals = sorted(roster)
    if not ordinals or ordinals[0] < 1 or len(set(ordinals)) != len(ordinals):
        raise ValueError(f"a roster of different ordinals from 1 is wanted, was {list(roster)}")
    book = Book.objects.create(venue=venue, rules=rules.to_json(), created_at=now)
    accounts = []
    postings = []
    for ordinal in ordinals:
        outcome = step(AccountState(ordinal=ordinal), CapitalPaid(market_at, capital), rules)
        account = Account(book=book, ordinal=ordinal, wallet=outcome.state.wallet)
        accounts.append(account)
        postings += [_posting(account, line) for line in outcome.postings]
    Account.objects.bulk_create(accounts)
    Posting.objects.bulk_create(postings)
    EquityPoint.objects.bulk_create(_first_point(account, market_at) for account in accounts)
    Standing.objects.bulk_create(_first_standing(account, market_at) for account in accounts)
    return book


def _posting(account: Account, line: PostingLine) -> Posting:
    return Posting(
        book=account.book,
        cause_id=line.cause_id,
        line=line.line,
        account=account if line.house is None else None,
        house=line.house.value if line.house else "",
        kind=line.kind.value,
        amount=line.amount,
        at=line.at,
    )


def _first_point(account: Account, market_at: datetime) -> EquityPoint:
    return EquityPoint(
        account=account,
        number=0,
        at=market_at,
        equity=account.wallet,
        wallet=account.wallet,
        unrealised=Decimal(0),
        used_margin=Decimal(0),
    )


def _first_standing(account: Account, market_at: datetime) -> Standing:
    return Standing(
        account=account,
        at=market_at,
        start_capital=account.wallet,
        equity=account.wallet,
        wallet=account.wallet,
        peak=account.wallet,
    )
