"""Equity over time, thinned to what a chart can show, extremes kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Max, Min

from competitions.models.rounds import Gap
from competitions.selectors.seasons import Entrant, Season
from competitions.selectors.shown import shown
from trading.models import EquityPoint, EquityRollup
from trading.models.accounts import RollupSpan

MAX_POINTS = 1_500
RANGES = {"24h": timedelta(hours=24), "72h": timedelta(hours=72), "all": None}
UNITS = ("pct", "usdt")
Point = tuple[float, Decimal]


@dataclass(frozen=True, slots=True)
class ChartView:
    """What of the chart is asked for; anything unknown falls back to all, in percent."""

    range: str = "all"
    unit: str = "pct"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ChartView:
        """Return the view that a query string asks for."""
        chosen, unit = query.get("range", "all"), query.get("unit", "pct")
        return cls(chosen if chosen in RANGES else "all", unit if unit in UNITS else "pct")

    @property
    def query(self) -> str:
        """Return the query string, empty for the plain view."""
        parts = [f"range={self.range}"] if self.range != "all" else []
        parts += [f"unit={self.unit}"] if self.unit != "pct" else []
        return "?" + "&".join(parts) if parts else ""

    def with_range(self, chosen: str) -> ChartView:
        """Return the same unit over another range."""
        return ChartView(chosen, self.unit)

    def with_unit(self, unit: str) -> ChartView:
        """Return the same range in another unit."""
        return ChartView(self.range, unit)


@dataclass(frozen=True, slots=True)
class Line:
    """One participant's points: seconds since the epoch (market time) and equity, oldest first."""

    entrant: Entrant
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Break:
    """A stretch of market time without rounds, in seconds since the epoch."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class Series:
    """All lines over one range; ``rounds`` counts the closed rounds of the season."""

    lines: tuple[Line, ...]
    breaks: tuple[Break, ...]
    capital: Decimal
    start: float
    end: float
    rounds: int

    @property
    def is_empty(self) -> bool:
        """Tell that no round has closed yet."""
        return self.rounds == 0


def chart_version(season: Season) -> int:
    """Return the number of the last round that the chart holds; -1 before the start. Queries once."""
    found = EquityPoint.objects.filter(account__in=_accounts(season)[:1]).aggregate(
        last=Max("number")
    )
    return -1 if found["last"] is None else int(found["last"])


def series_of(season: Season, view: ChartView) -> Series:
    """Return the lines of ``view``. Queries three times."""
    capital = season.competition.initial_capital
    points = EquityPoint.objects.filter(account__in=_accounts(season))
    reach = points.aggregate(first=Min("at"), last=Max("at"), rounds=Max("number"))
    if reach["last"] is None:
        return Series((), (), capital, 0.0, 0.0, 0)
    length = RANGES[view.range]
    start = reach["first"] if length is None else max(reach["first"], reach["last"] - length)
    end: datetime = reach["last"]
    raw = _points(season, start, end)
    if end == start:
        # The first round of a replay is marked at its slot, which is the start: give the line a length.
        end += timedelta(seconds=season.competition.interval_seconds)
    lines = tuple(
        Line(entrant, thinned(raw.get(account, ()), start.timestamp()))
        for account, entrant in season.by_account.items()
    )
    return Series(
        lines,
        _breaks(season, start, end),
        capital,
        start.timestamp(),
        end.timestamp(),
        reach["rounds"],
    )


def _accounts(season: Season) -> list[UUID]:
    return list(season.by_account)


def _points(season: Season, start: datetime, end: datetime) -> dict[UUID, list[Point]]:
    """Return each account's points from one interval before ``start`` on; from rollups when there are too many."""
    interval = season.competition.interval_seconds
    rounds = (end - start).total_seconds() / interval
    if rounds <= 2 * MAX_POINTS:
        return _from_rounds(season, start - timedelta(seconds=interval))
    hours = (end - start).total_seconds() / 3_600
    span = RollupSpan.HOUR if hours <= 2 * MAX_POINTS else RollupSpan.DAY
    return _from_rollups(season, start, span)


def _from_rounds(season: Season, since: datetime) -> dict[UUID, list[Point]]:
    rows = (
        EquityPoint.objects.filter(account__in=_accounts(season), at__gte=since)
        .order_by("account_id", "number")
        .values_list("account_id", "at", "equity")
    )
    found: dict[UUID, list[Point]] = defaultdict(list)
    for account, at, equity in rows:
        found[account].append((at.timestamp(), equity))
    return found


def _from_rollups(season: Season, start: datetime, span: str) -> dict[UUID, list[Point]]:
    length = 3_600 if span == RollupSpan.HOUR else 86_400
    floor = start.timestamp() // length * length
    rows = (
        EquityRollup.objects.filter(
            account__in=_accounts(season),
            span=span,
            start_at__gte=datetime.fromtimestamp(floor, tz=UTC),
        )
        .order_by("account_id", "start_at")
        .values_list("account_id", "start_at", "first", "low", "high", "last")
    )
    found: dict[UUID, list[Point]] = defaultdict(list)
    for account, start_at, first, low, high, last in rows:
        at = start_at.timestamp()
        parts = (first, low, high, last)
        found[account] += [(at + length * place / 4, value) for place, value in enumerate(parts)]
    return found


def thinned(points: Sequence[Point], start: float) -> tuple[Point, ...]:
    """Return at most 1,500 points from ``start`` on; of each bucket the lowest, the highest and the last stay."""
    inside = [point for point in points if point[0] >= start]
    before = [point for point in points if point[0] < start]
    if before:
        inside.insert(0, (start, before[-1][1]))
    if len(inside) <= MAX_POINTS:
        return tuple(inside)
    buckets = (MAX_POINTS - 1) // 3
    kept = [inside[0]]
    for place in range(buckets):
        low, high = place * len(inside) // buckets, (place + 1) * len(inside) // buckets
        kept += _extremes(inside[low:high])
    return tuple(kept[:MAX_POINTS])


def _extremes(bucket: Sequence[Point]) -> Iterable[Point]:
    lowest = min(range(len(bucket)), key=lambda place: bucket[place][1])
    highest = max(range(len(bucket)), key=lambda place: bucket[place][1])
    return [bucket[place] for place in sorted({lowest, highest, len(bucket) - 1})]


def _breaks(season: Season, start: datetime, end: datetime) -> tuple[Break, ...]:
    rows = Gap.objects.filter(competition=season.competition, to_at__gt=start, from_at__lt=end)
    return tuple(
        Break(
            max(row.from_at, start).timestamp(), min(row.to_at, end).timestamp(), shown(row.reason)
        )
        for row in rows.order_by("from_at")
    )
