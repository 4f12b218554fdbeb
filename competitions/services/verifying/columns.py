"""Which columns verifying covers, and comparing a stored row with a recomputed one column by column.

A column of a covered table is either compared somewhere in this package, or listed in ``UNCOVERED`` with the reason. A test changes
every column that is not listed and fails where nobody notices.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar
from uuid import UUID

from django.db import models

from agents.models import Completion, Decision
from competitions.models import (
    AuditEvent,
    Competition,
    Gap,
    Leg,
    Participant,
    Round,
    Turn,
)
from competitions.services.journal import Row
from marketdata.models import Blob, MarketSnapshot
from trading.models import (
    Account,
    Book,
    EquityPoint,
    EquityRollup,
    Fill,
    OperatorAct,
    Order,
    Position,
    Posting,
    Standing,
    TapeSegment,
)

COVERED: tuple[type[models.Model], ...] = (
    Book,
    TapeSegment,
    OperatorAct,
    Account,
    Order,
    Fill,
    Posting,
    Position,
    EquityPoint,
    EquityRollup,
    Standing,
    Competition,
    Participant,
    MarketSnapshot,
    Round,
    Turn,
    Leg,
    Gap,
    Decision,
    Completion,
    Blob,
    AuditEvent,
)

ROW_ID = "an id of this database alone: no record and no digest holds it"
WALL = "wall time: when work was done, not what it came to"
PROSE = "words for people: nothing follows from them"
CALLED = "whom the agent named at the time of the call; agents may be edited"
TOLD = "as the provider told it of its own call; nothing follows from it"
ASKED = "what was asked: its text is checked against its hash, and is not written anew"

UNCOVERED: dict[tuple[type[models.Model], str], str] = {
    **{(model, model._meta.pk.name): ROW_ID for model in COVERED if model is not Blob},
    (Blob, "sha256"): "the name of the bytes: they are hashed and compared with it",
    (Book, "created_at"): WALL,
    (
        Book,
        "advanced_to",
    ): "how far the market was shown: that nothing is shown twice; the tape tells what was",
    (TapeSegment, "recorded_at"): WALL,
    (OperatorAct, "at"): WALL,
    (Order, "created_at"): WALL,
    (Order, "updated_at"): WALL,
    (Fill, "latency_ms"): WALL,
    (MarketSnapshot, "captured_at"): WALL,
    (Competition, "name"): PROSE,
    (Competition, "description"): PROSE,
    (Competition, "visibility"): "who may see the season",
    (Competition, "max_participants"): "who may register, before the start",
    (Competition, "pace_seconds"): "seconds of wall time between rounds",
    (Competition, "duplicated_from"): "where a draft came from, before the start",
    (Competition, "next_due_at"): WALL,
    (Competition, "created_at"): WALL,
    (Participant, "owner"): "who may see a private season; accounts come and go",
    (Participant, "state_reason"): PROSE,
    (Participant, "created_at"): WALL,
    (Round, "deadline_at"): WALL,
    (Round, "opened_at"): WALL,
    (Round, "closed_at"): WALL,
    (Turn, "reason"): PROSE,
    (Turn, "lease_until"): WALL,
    (Turn, "fence"): "how often the turn was claimed; a crash adds to it",
    (Turn, "asked_at"): WALL,
    (Turn, "answered_at"): WALL,
    (Turn, "settled_at"): WALL,
    (Gap, "reason"): PROSE,
    (Decision, "decided_at"): WALL,
    (Completion, "provider"): CALLED,
    (Completion, "model"): CALLED,
    (Completion, "returned_model"): TOLD,
    (Completion, "system"): ASKED,
    (Completion, "market"): ASKED,
    (Completion, "account"): ASKED,
    (Completion, "request"): ASKED,
    (Completion, "body"): "the answer as received: its bytes are checked against their hash",
    (Completion, "reasoning"): "thinking beside the answer: its text is checked against its hash",
    (Completion, "http_status"): TOLD,
    (Completion, "finish_reason"): TOLD,
    (Completion, "provider_request_id"): TOLD,
    (Completion, "error"): TOLD,
    (Completion, "input_tokens"): TOLD,
    (Completion, "output_tokens"): TOLD,
    (Completion, "cached_tokens"): TOLD,
    (Completion, "reasoning_tokens"): TOLD,
    (Completion, "latency_ms"): TOLD,
    (Completion, "cost"): "money that the arena pays, not money of the season",
    (Completion, "sent_at"): WALL,
    (Completion, "answered_at"): WALL,
}

Key = TypeVar("Key", bound=Hashable)
# How a column that points to another row is told by that row's natural key.
Links = Mapping[str, Callable[[Any], Any]]
ELSEWHERE = "of another season"


def differences(
    name: str, stored: models.Model | None, wanted: Row, links: Links | None = None
) -> Iterator[str]:
    """Yield a sentence for each column in which the stored row is another than the one wanted; one if there is no row."""
    if stored is None:
        yield f"{name} is missing"
        return
    for column, value in wanted.items():
        tell = (links or {}).get(column)
        found = tell(stored) if tell else getattr(stored, column)
        if found != value:
            yield difference(name, column, found, value)


def difference(name: str, column: str, stored: object, wanted: object) -> str:
    """Return the sentence on one column of the row ``name``."""
    return f"{name}: {column} stored {_short(stored)}, recomputed {_short(wanted)}"


def table_differences(
    stored: Mapping[Key, models.Model],
    wanted: Mapping[Key, Row],
    *,
    name: Callable[[Key], str],
    links: Links | None = None,
) -> Iterator[str]:
    """Yield what is different between the rows of a table and the ones wanted, rows missing and rows too many included."""
    for key, row in wanted.items():
        yield from differences(name(key), stored.get(key), row, links)
    for key in stored:
        if key not in wanted:
            yield stray(name(key))


def stray(name: str) -> str:
    """Return the sentence on a row that nothing made."""
    return f"{name} is there, and nothing that was recomputed makes it"


def _short(value: object) -> str:
    text = "nothing" if value is None or value == "" else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Seats:
    """The accounts of one book, by row id and by ordinal."""

    def __init__(self, book: Book) -> None:
        self.ordinals: dict[UUID | None, int] = dict(
            Account.objects.filter(book=book).values_list("pk", "ordinal")
        )

    def of(self, account_id: UUID | None) -> Any:
        """Return the ordinal of an account; None for none, a word for one of another book."""
        return None if account_id is None else self.ordinals.get(account_id, ELSEWHERE)

    @property
    def link(self) -> Links:
        """Return how rows that belong to an account tell it."""
        return {"account": lambda row: self.of(row.account_id)}
