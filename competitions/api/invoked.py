"""What triggers and trials answer with."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from ninja import Schema

from competitions.api.answers import RoundOut
from competitions.api.shaping import round_out
from competitions.api.wire import Amount, Instant
from competitions.models import Round, Trial
from competitions.selectors.seasons import Season
from competitions.selectors.trials import TrialView, trial_view


class InvokedTurnOut(Schema):
    """A turn of an extra round just opened; ask for the participant's decisions to see what came of it."""

    turn: str
    participant_id: uuid.UUID
    participant: str
    state: str


class VerdictOut(Schema):
    """What the rules say to one instruction: ACCEPTED, DENIED, HELD or SET; the figures are those it would have been filled at."""

    index: int
    instruction: dict[str, Any]
    verdict: str
    denial: str
    quantity: Amount | None
    price: Amount | None
    fee: Amount | None


class TrialOut(Schema):
    """An agent asked as in a season's first round, nothing traded; texts are null until it was asked, ``outcome`` until it is done."""

    id: uuid.UUID
    competition_id: uuid.UUID
    competition: str
    participant_id: uuid.UUID | None
    agent: str
    state: str
    outcome: str | None
    reason: str
    as_of: Instant | None
    snapshot: str | None
    requested_at: Instant
    finished_at: Instant | None
    system: str | None
    market: str | None
    account: str | None
    answer: str | None
    attempts: int
    latency_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    status: str | None
    summary: str
    instructions: list[VerdictOut]


class InvocationOut(Schema):
    """What a trigger began: an EXTRA round with its turns, or a TRIAL for each participant, to be looked at under ``/internal/trials``."""

    kind: str
    round: RoundOut | None
    turns: list[InvokedTurnOut]
    trials: list[TrialOut]


def extra_out(season: Season, row: Round) -> InvocationOut:
    """Return an extra round just opened, with its turns."""
    turns = [
        InvokedTurnOut(
            turn=turn.turn_key,
            participant_id=turn.participant_id,
            participant=season.by_id[turn.participant_id].slug,
            state=turn.state,
        )
        for turn in row.turns.order_by("participant__ordinal")
    ]
    return InvocationOut(kind=row.kind, round=round_out(row), turns=turns, trials=[])


def trials_out(rows: Sequence[Trial]) -> InvocationOut:
    """Return trials just made."""
    return InvocationOut(
        kind="TRIAL", round=None, turns=[], trials=[trial_out(trial_view(row)) for row in rows]
    )


def trial_out(view: TrialView) -> TrialOut:
    row, call, decision = view.row, view.call, view.row.decision
    return TrialOut(
        id=row.pk,
        competition_id=row.competition_id,
        competition=row.competition.slug,
        participant_id=row.participant_id,
        agent=row.agent.slug,
        state=row.state,
        outcome=row.outcome or None,
        reason=row.reason,
        as_of=view.as_of,
        snapshot=row.snapshot.sha256 if row.snapshot else None,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        system=view.system,
        market=view.market,
        account=view.account,
        answer=view.answer,
        attempts=view.attempts,
        latency_ms=call.latency_ms if call else None,
        input_tokens=call.input_tokens if call else None,
        output_tokens=call.output_tokens if call else None,
        status=decision.status if decision else None,
        summary=decision.summary if decision else "",
        instructions=[VerdictOut.model_validate(item) for item in view.verdicts],
    )
