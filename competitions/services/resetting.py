"""Emptying the arena of all its seasons; what was set up (users, feeds, instruments, candles, providers, agents) stays."""

from __future__ import annotations

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


@transaction.atomic
def reset_arena() -> int:
    """Truncate every table of seasons and return how many competitions are gone.

    Texts in ``Blob`` stay: prompts and answers of kept rows may share them. Must not run beside an arena that plays.
    """
    gone = Competition.objects.count()
    tables = [model._meta.db_table for model in SEASON_MODELS]
    with connection.cursor() as cursor:
        for statement in connection.ops.sql_flush(no_style(), tables, allow_cascade=False):
            cursor.execute(statement)
    return gone
