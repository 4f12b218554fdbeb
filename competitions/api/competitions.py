"""Competitions: listed, looked at in detail, followed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from competitions.api.access import (
    OPTIONAL_KEY,
    KeyHeader,
    caller_of,
    get_competition,
    get_season,
)
from competitions.api.answers import (
    BoardOut,
    CompetitionDetailOut,
    CompetitionPage,
    EventOut,
    EventPage,
    RoundPage,
    StatusOut,
)
from competitions.api.paging import PageIn, cut
from competitions.api.shaping import (
    board_out,
    competition_detail,
    competition_out,
    round_out,
    status_out,
)
from competitions.api.wire import READ_ERRORS, ApiError
from competitions.models.competitions import CompetitionStatus
from competitions.selectors.board import board_of
from competitions.selectors.listings import competitions_page, events_page, rounds_page

router = Router(tags=["competitions"], auth=KeyHeader())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@router.get(
    "",
    response={200: CompetitionPage, **READ_ERRORS},
    operation_id="list_competitions",
    openapi_extra=OPTIONAL_KEY,
)
def list_competitions(
    request: HttpRequest, page: Query[PageIn], status: str = ""
) -> CompetitionPage:
    """List competitions, newest first; those that are not public only with a key."""
    if status and status not in CompetitionStatus.values:
        known = ", ".join(CompetitionStatus.values)
        raise ApiError(422, "BAD_STATUS", f"status must be one of {known}, was {status[:40]!r}")
    seen = caller_of(request).listed()
    rows, has_more = cut(
        competitions_page(seen, before=_instant(page.position), status=status, limit=page.limit),
        page.limit,
    )
    cursor = str((rows[-1].created_at - EPOCH) // MICROSECOND) if has_more else None
    return CompetitionPage(items=[competition_out(row) for row in rows], next_cursor=cursor)


def _instant(microseconds: int | None) -> datetime | None:
    if microseconds is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ApiError(
            422, "BAD_CURSOR", f"cursor must be the next_cursor of a page, was {microseconds}"
        ) from None


@router.get(
    "/{competition_id}",
    response={200: CompetitionDetailOut, **READ_ERRORS},
    operation_id="get_competition",
    openapi_extra=OPTIONAL_KEY,
)
def competition(request: HttpRequest, competition_id: str) -> CompetitionDetailOut:
    """Return a competition with its rules, instruments and roster."""
    return competition_detail(get_season(request, competition_id))


@router.get(
    "/{competition_id}/status",
    response={200: StatusOut, **READ_ERRORS},
    operation_id="get_competition_status",
    openapi_extra=OPTIONAL_KEY,
)
def status(request: HttpRequest, competition_id: str) -> StatusOut:
    """Return where a competition stands."""
    return status_out(get_season(request, competition_id), now=timezone.now())


@router.get(
    "/{competition_id}/leaderboard",
    response={200: BoardOut, **READ_ERRORS},
    operation_id="get_competition_leaderboard",
    openapi_extra=OPTIONAL_KEY,
)
def leaderboard(request: HttpRequest, competition_id: str) -> BoardOut:
    """Return the leaderboard as of the last closed round."""
    season = get_season(request, competition_id)
    return board_out(season, board_of(season))


@router.get(
    "/{competition_id}/rounds",
    response={200: RoundPage, **READ_ERRORS},
    operation_id="list_rounds",
    openapi_extra=OPTIONAL_KEY,
)
def rounds(request: HttpRequest, competition_id: str, page: Query[PageIn]) -> RoundPage:
    """List rounds, newest first."""
    season = get_season(request, competition_id)
    rows, has_more = cut(rounds_page(season, below=page.position, limit=page.limit), page.limit)
    cursor = str(rows[-1].number) if has_more else None
    return RoundPage(items=[round_out(row) for row in rows], next_cursor=cursor)


@router.get(
    "/{competition_id}/events",
    response={200: EventPage, **READ_ERRORS},
    operation_id="list_events",
    openapi_extra=OPTIONAL_KEY,
)
def events(request: HttpRequest, competition_id: str, page: Query[PageIn]) -> EventPage:
    """List events, oldest first; the cursor is the last ``seq`` that is known already."""
    found = get_competition(request, competition_id)
    rows, has_more = cut(events_page(found, above=page.position, limit=page.limit), page.limit)
    items = [EventOut(seq=row.seq, kind=row.kind, at=row.at, payload=row.payload) for row in rows]
    return EventPage(items=items, next_cursor=str(rows[-1].seq) if has_more else None)
