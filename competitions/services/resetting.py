"""Emptying the arena of all its seasons; what was set up (users, feeds, instruments, candles, providers, agents) stays."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.management.color import no_style
from django.db import connection, models, transaction

from agents.models import Completion, Decision
from competitions.models import (
    ApiReply,
    AuditEvent,
    Competition,
    Event,
    Gap,
    Heartbeat,
    Lease,
    Leg,
    Participant,
    Round,
    SeasonCheck,
    Trial,
    Turn,
)
from marketdata.models import MarketSnapshot
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

# From what points to what is pointed at.
SEASON_MODELS: tuple[type[models.Model], ...] = (
    Leg,
    Turn,
    Round,
    Gap,
    Event,
    AuditEvent,
    Lease,
    Heartbeat,
    ApiReply,
    Trial,
    SeasonCheck,
    Competition.instruments.through,
    Participant,
    Competition,
    Decision,
    Completion,
    Posting,
    Fill,
    Order,
    Position,
    EquityPoint,
    EquityRollup,
    Standing,
    OperatorAct,
    TapeSegment,
    Account,
    Book,
    MarketSnapshot,
)


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table and how many rows it has, or had."""

    table: str
    rows: int


def season_rows() -> tuple[TableRows, ...]:
    """Return how many rows each table of seasons has. Queries once per table."""
    return tuple(
        TableRows(model._meta.db_table, model._base_manager.count()) for model in SEASON_MODELS
    )


@transaction.atomic
def reset_arena() -> tuple[TableRows, ...]:
    """Truncate every table of seasons and return how many rows are gone.

    Texts in ``Blob`` stay: prompts and answers of kept rows may share them. Must not run beside an arena that plays.
    """
    gone = season_rows()
    tables = [row.table for row in gone]
    with connection.cursor() as cursor:
        for statement in connection.ops.sql_flush(no_style(), tables, allow_cascade=False):
            cursor.execute(statement)
    return gone
