"""From selectors' values and rows to answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agents.providers.capabilities import effective_parameters
from competitions.api.answers import (
    BoardOut,
    BoardRowOut,
    CloseLineOut,
    CloseReportOut,
    CompetitionDetailOut,
    CompetitionOut,
    DecisionOut,
    DecisionPage,
    EntrantOut,
    LegOut,
    ParametersOut,
    ParticipantOut,
    RoundOut,
    RulesOut,
    StatusOut,
)
from competitions.api.paging import cut
from competitions.models import Competition, Participant, Round, Turn
from competitions.selectors.activity import leg_view, turn_view
from competitions.selectors.board import Board, BoardRow
from competitions.selectors.facts import facts_of
from competitions.selectors.seasons import Entrant, Season, entrant_of, mode_of
from competitions.services.control import CloseReport

# Ordinals stay below it.
_ORDINALS = 100_000


def competition_fields(row: Competition) -> dict[str, object]:
    """Return what a list tells of a competition; its feed must be loaded."""
    names = [name for name in CompetitionOut.model_fields if name not in {"mode", "feed"}]
    return {
        **{name: getattr(row, name) for name in names},
        "mode": mode_of(row),
        "feed": row.feed.slug,
    }


def competition_out(row: Competition) -> CompetitionOut:
    return CompetitionOut.model_validate(competition_fields(row))


def competition_detail(season: Season) -> CompetitionDetailOut:
    row = season.competition
    rules = {name: getattr(row, name) for name in RulesOut.model_fields}
    return CompetitionDetailOut.model_validate(
        {
            **competition_fields(row),
            "rules": rules,
            "instruments": list(season.grids),
            "timeframes": row.timeframes,
            "participants": [entrant_fields(entrant) for entrant in season.entrants],
            "contract_hash": row.contract_hash,
            "season_digest": row.season_digest,
            "stop_reason": row.stop_reason,
        }
    )


def entrant_fields(entrant: Entrant) -> dict[str, object]:
    return {name: getattr(entrant, name) for name in EntrantOut.model_fields}


def entrant_out(entrant: Entrant) -> EntrantOut:
    return EntrantOut.model_validate(entrant_fields(entrant))


def participant_out(row: Participant) -> ParticipantOut:
    """Return a participant; its competition, agent and provider must be loaded."""
    agent = row.agent
    effective, warnings = effective_parameters(agent.provider, agent.parameters)
    parameters = ParametersOut(requested=agent.parameters, effective=effective, warnings=warnings)
    return ParticipantOut.model_validate(
        {
            **entrant_fields(entrant_of(row)),
            "competition_id": row.competition_id,
            "competition": row.competition.slug,
            "agent": agent.slug,
            "timeout_seconds": agent.timeout_seconds,
            "parameters": parameters,
            "created_at": row.created_at,
        }
    )


def status_out(season: Season, *, now: datetime) -> StatusOut:
    row, facts = season.competition, facts_of(season, now=now)
    return StatusOut(
        id=row.pk,
        slug=row.slug,
        status=facts.status,
        status_label=facts.status_label,
        mode=season.mode,
        round_count=facts.round_count,
        total_rounds=facts.total_rounds,
        is_round_open=facts.is_round_open,
        next_round_at=facts.next_at,
        market_at=row.market_at,
        last_event_at=facts.last_event_at,
        is_stale=facts.is_stale(now),
        seq=row.event_seq,
        stop_reason=row.stop_reason,
    )


def board_out(season: Season, board: Board) -> BoardOut:
    return BoardOut(
        competition_id=season.competition.pk,
        competition=season.slug,
        closed_rounds=board.closed_rounds,
        at=board.at,
        rows=[board_row_out(row) for row in board.rows],
    )


def board_row_out(row: BoardRow) -> BoardRowOut:
    return BoardRowOut(
        rank=row.rank,
        participant=entrant_out(row.entrant),
        equity=row.equity,
        total_return=row.earned,
        max_drawdown=row.max_drawdown,
        trades=row.trades,
        win_rate=row.win_rate,
        fees=row.fees,
        exposure=row.exposure,
        extra_turns=row.extra_turns,
        last_outcome=row.last.outcome if row.last else None,
    )


def decision_page(season: Season, turns: Sequence[Turn], *, limit: int) -> DecisionPage:
    """Return a page of turns that :func:`turns_page` fetched."""
    rows, has_more = cut(turns, limit)
    cursor = None
    if has_more:
        ordinal = season.by_id[rows[-1].participant_id].ordinal
        cursor = str(rows[-1].round.number * _ORDINALS + ordinal)
    return DecisionPage(items=[decision_out(season, row) for row in rows], next_cursor=cursor)


def turn_position(cursor: int | None) -> tuple[int, int] | None:
    """Return round and ordinal of the turn after which a page begins."""
    return None if cursor is None else divmod(cursor, _ORDINALS)


def decision_out(season: Season, turn: Turn) -> DecisionOut:
    view = turn_view(season, turn)
    return DecisionOut(
        turn=view.key,
        participant_id=view.entrant.id,
        participant=view.entrant.slug,
        round=view.number,
        round_kind=turn.round.kind,
        slot_at=view.slot_at,
        outcome=view.outcome,
        reason=view.reason,
        status=turn.decision.status if turn.decision else None,
        summary=view.summary,
        error=view.error,
        answered_at=view.answered_at,
        settled_at=turn.settled_at,
        instructions=_legs(season, turn),
    )


def _legs(season: Season, turn: Turn) -> list[LegOut]:
    found = []
    for leg in turn.legs.all():
        view = leg_view(season, leg)
        found.append(
            LegOut(
                index=leg.index,
                instruction=leg.instruction,
                verdict=leg.verdict,
                denial=view.denial,
                client_order_id=leg.order.client_order_id if leg.order else None,
                order_status=leg.order.status if leg.order else None,
                filled_quantity=view.filled_quantity,
                filled_price=view.filled_price,
            )
        )
    return found


def round_out(row: Round) -> RoundOut:
    """Return a round; its snapshot must be loaded, if it has one."""
    names = [name for name in RoundOut.model_fields if name != "snapshot"]
    snapshot = row.snapshot.sha256 if row.snapshot else None
    return RoundOut.model_validate(
        {**{name: getattr(row, name) for name in names}, "snapshot": snapshot}
    )


def close_report_out(report: CloseReport) -> CloseReportOut:
    lines = [
        CloseLineOut(
            participant=line.participant,
            symbol=line.symbol,
            quantity=line.quantity,
            filled=line.filled,
            message=line.message,
        )
        for line in report.lines
    ]
    return CloseReportOut(is_flat=report.is_flat, lines=lines)
