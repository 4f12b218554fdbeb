"""From figures to a drawing: paths for the stretched middle, percentages for all that keeps its size.

The plot is 2080 units wide and 1000 high; the axis and the labels use percentages of its height, so
that text keeps its size at every width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil, floor, log10

from competitions.selectors.chart.series import Break, ChartView, Line, Point, Series
from competitions.selectors.seasons import Entrant
from competitions.templatetags.arena_format import (
    decimals_of,
    duration,
    number,
    signed,
    signed_pct,
)

WIDTH = 2080
TOP, BOTTOM = 3.0, 91.0
DRAWDOWN_TOP, DRAWDOWN_BOTTOM = 8.0, 92.0
LABEL_STEP = 5.6
MAX_LABELS = 15
LABELLED_TICKS = 6
MIN_BREAK = 0.5
_STEPS = (
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
    86_400,
)
_DAYS = (2, 3, 7, 14, 28, 91, 182, 365)


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid at ``place`` (percent); ``is_reference`` for the start line, ``is_wide`` for labels that narrow places drop."""

    place: str
    label: str
    is_reference: bool = False
    is_wide: bool = False
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Hatch:
    """A stretch without data: ``x`` and ``width`` in percent; ``label`` only on the widest."""

    x: str
    width: str
    label: str
    reason: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A participant's step line."""

    entrant: Entrant
    path: str
    is_lead: bool


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A name at a line's end: ``y`` where the line ends, ``label_y`` where the text stands."""

    entrant: Entrant
    y: str
    label_y: str
    value: str
    unit: str


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The pane beneath: the leader and the two deepest."""

    strokes: tuple[Stroke, ...]
    area: str
    area_css: str
    ticks: tuple[Tick, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything the template draws; ``is_empty`` before the first closed round."""

    view: ChartView
    is_empty: bool
    reference_y: str
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    hatches: tuple[Hatch, ...]
    strokes: tuple[Stroke, ...]
    ends: tuple[EndLabel, ...]
    drawdown: Drawdown | None
    summary: str
    rounds: int
    points: int


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps time and value to plot units and percent."""

    start: float
    end: float
    low: float
    high: float
    top: float = TOP
    bottom: float = BOTTOM

    def x(self, at: float) -> float:
        return (at - self.start) / (self.end - self.start) * 100

    def y(self, value: float) -> float:
        share = (self.high - value) / (self.high - self.low)
        return self.top + share * (self.bottom - self.top)


def draw(series: Series, view: ChartView, *, lead: Entrant | None = None) -> Chart:
    """Return the chart of ``series``; ``lead`` is drawn strongest, the first of the field when None."""
    lines = [line for line in series.lines if line.points]
    if series.is_empty or not lines:
        return _empty(view)
    ranked = sorted(lines, key=lambda line: (-line.points[-1][1], line.entrant.ordinal))
    valued = [(line, _values(line, series, view)) for line in ranked]
    y_steps, scale = _scale(series, view, valued)
    leader = next((line for line in ranked if line.entrant == lead), _rated(ranked, series)[0])
    return Chart(
        view=view,
        is_empty=False,
        reference_y=_percent(scale.y(_reference(series, view))),
        y_ticks=tuple(_y_ticks(y_steps, scale, series, view)),
        x_ticks=tuple(_x_ticks(scale)),
        hatches=tuple(_hatches(series.breaks, scale)),
        strokes=tuple(
            Stroke(line.entrant, _path(values, series.breaks, scale), line is leader)
            for line, values in reversed(valued)
        ),
        ends=tuple(_ends(valued, series, view, scale)),
        drawdown=_drawdown(ranked, leader, series, scale),
        summary=_summary(ranked, series),
        rounds=series.rounds,
        points=max(len(line.points) for line in lines),
    )


def _rated(ranked: Sequence[Line], series: Series) -> Sequence[Line]:
    """Return the lines that lead or fall: models that moved, else baselines that did, else all."""
    moved = [line for line in ranked if any(equity != series.capital for _, equity in line.points)]
    return [line for line in moved if not line.entrant.is_baseline] or moved or ranked


def _empty(view: ChartView) -> Chart:
    return Chart(
        view, True, "50%", (), (), (), (), (), None, "No data before the first round.", 0, 0
    )


def _reference(series: Series, view: ChartView) -> float:
    return 0.0 if view.unit == "pct" else float(series.capital)


def _values(line: Line, series: Series, view: ChartView) -> list[tuple[float, float]]:
    capital = float(series.capital)
    if view.unit == "pct":
        return [(at, (float(equity) / capital - 1) * 100) for at, equity in line.points]
    return [(at, float(equity)) for at, equity in line.points]


Valued = Sequence[tuple[Line, list[tuple[float, float]]]]


def _scale(series: Series, view: ChartView, valued: Valued) -> tuple[list[float], _Scale]:
    reference = _reference(series, view)
    values = [value for _, points in valued for _, value in points]
    low, high = min([*values, reference]), max([*values, reference])
    least = 0.2 if view.unit == "pct" else float(series.capital) * 0.002
    if high - low < least:
        missing = (least - (high - low)) / 2
        low, high = low - missing, high + missing
    margin = (high - low) * 0.04
    low, high = low - margin, high + margin
    return _steps(low, high, LABELLED_TICKS), _Scale(series.start, series.end, low, high)


def _steps(low: float, high: float, count: int) -> list[float]:
    """Return round values between ``low`` and ``high``, at most ``count`` + 1 of them."""
    rough = (high - low) / count
    magnitude = 10.0 ** floor(log10(rough))
    step = next(size * magnitude for size in (1, 2, 2.5, 5, 10) if size * magnitude >= rough)
    first = ceil(low / step)
    return [place * step for place in range(first, floor(high / step) + 1)]


def _y_ticks(steps: list[float], scale: _Scale, series: Series, view: ChartView) -> list[Tick]:
    reference = _reference(series, view)
    gap = steps[1] - steps[0] if len(steps) > 1 else 1.0
    places = _places(gap)
    ticks = []
    for step in steps:
        value = Decimal(str(round(step, 9)))
        label = f"{signed(value, places)} %" if view.unit == "pct" else number(value, places)
        is_reference = abs(step - reference) < gap / 1e6
        ticks.append(Tick(_percent(scale.y(step)), label, is_reference))
    return ticks


def _places(gap: float) -> int:
    """Return how many decimals tell two ticks apart that are ``gap`` from one another."""
    return decimals_of(Decimal(str(round(gap, 9))))


def _x_ticks(scale: _Scale) -> list[Tick]:
    step = _time_step(scale.end - scale.start)
    first = ceil(scale.start / step) * step
    ticks = []
    places = [at for at in _frange(first, scale.end, step) if scale.x(at) < 93]
    for index, at in enumerate(places):
        moment = datetime.fromtimestamp(at, tz=UTC)
        is_day = step >= 86_400 or (moment.hour == 0 and moment.minute == 0)
        fine = f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"
        label = f"{moment:%-d %b}" if is_day else fine
        anchor = "start" if scale.x(at) < 3 else "middle"
        ticks.append(Tick(_percent(scale.x(at)), label, is_wide=index % 2 == 1, anchor=anchor))
    return ticks


def _frange(first: float, last: float, step: float) -> list[float]:
    return [first + place * step for place in range(floor((last - first) / step) + 1)]


def _time_step(length: float) -> float:
    for step in (*_STEPS, *(86_400 * days for days in _DAYS)):
        if length / step <= 6:
            return step
    return ceil(length / 6 / 86_400) * 86_400


def _hatches(breaks: Sequence[Break], scale: _Scale) -> list[Hatch]:
    widest = max(breaks, key=lambda item: item.end - item.start, default=None)
    hatches = []
    for item in breaks:
        x = scale.x(item.start)
        width = max(scale.x(item.end) - x, MIN_BREAK)
        label = f"no rounds, {duration(item.end - item.start)}" if item is widest else ""
        anchor = "end" if x > 20 else "start"
        hatches.append(Hatch(_percent(x), _percent(width), label, item.reason, anchor))
    return hatches


def _path(points: Sequence[tuple[float, float]], breaks: Sequence[Break], scale: _Scale) -> str:
    """Return a step line in plot units, cut at each break."""
    parts: list[str] = []
    x = y = 0
    cuts = [(item.start, item.end) for item in breaks]
    before: float | None = None
    for at, value in points:
        to_x, to_y = round(scale.x(at) / 100 * WIDTH), round(scale.y(value) * 10)
        cut = next(
            (pair for pair in cuts if before is not None and before <= pair[0] and at >= pair[1]),
            None,
        )
        if before is None:
            parts.append(f"M{to_x} {to_y}")
        elif cut is not None:
            stop = round(scale.x(cut[0]) / 100 * WIDTH)
            parts.append(f"h{max(stop - x, 0)}M{to_x} {to_y}")
        else:
            parts.append(f"h{to_x - x}" + (f"v{to_y - y}" if to_y != y else ""))
        x, y, before = to_x, to_y, at
    if before is not None and before < scale.end:
        parts.append(f"h{WIDTH - x}")
    return "".join(parts)


def _ends(valued: Valued, series: Series, view: ChartView, scale: _Scale) -> list[EndLabel]:
    """Return the labels, pushed apart from top to bottom, then up again where they fell off."""
    labelled = valued[:MAX_LABELS]
    step = min(LABEL_STEP, (BOTTOM - TOP) / max(1, len(labelled) - 1))
    wanted = [scale.y(points[-1][1]) for _, points in labelled]
    places: list[float] = []
    for y in wanted:
        places.append(max(y, places[-1] + step) if places else y)
    limit = BOTTOM
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - step
    ends = []
    for (line, _), y, place in zip(labelled, wanted, places, strict=True):
        value, unit = _end_value(line.points[-1], series, view)
        ends.append(EndLabel(line.entrant, _percent(y), _percent(place), value, unit))
    return ends


def _end_value(point: Point, series: Series, view: ChartView) -> tuple[str, str]:
    if view.unit == "pct":
        return signed((point[1] / series.capital - 1) * 100), " %"
    return number(point[1], 2), ""


def _falls(line: Line) -> list[tuple[float, float]]:
    """Return the fall from the peak so far within the range, in percent, 0 or below."""
    peak = Decimal(0)
    falls = []
    for at, equity in line.points:
        peak = max(peak, equity)
        falls.append((at, float(equity / peak - 1) * 100 if peak > 0 else 0.0))
    return falls


def _drawdown(
    ranked: Sequence[Line], leader: Line, series: Series, scale: _Scale
) -> Drawdown | None:
    falls = {line.entrant.id: _falls(line) for line in ranked}
    depth = {key: min(value for _, value in points) for key, points in falls.items()}
    deepest = sorted(_rated(ranked, series), key=lambda line: depth[line.entrant.id])[:2]
    worst = deepest[0]
    low = min(depth[worst.entrant.id], -0.1) * 1.08
    pane = _Scale(series.start, series.end, low, 0.0, DRAWDOWN_TOP, DRAWDOWN_BOTTOM)
    drawn = [*reversed([line for line in deepest if line is not leader]), leader]
    return Drawdown(
        strokes=tuple(
            Stroke(line.entrant, _path(falls[line.entrant.id], series.breaks, pane), False)
            for line in drawn
        ),
        area=_area(falls[worst.entrant.id], pane),
        area_css=worst.entrant.css,
        ticks=tuple(_fall_ticks(low, pane)),
        note=f"{worst.entrant.name}, {signed(Decimal(str(round(depth[worst.entrant.id], 4))))} %",
    )


def _fall_ticks(low: float, pane: _Scale) -> list[Tick]:
    steps = [step for step in _steps(low, 0.0, 2) if step < 0]
    gap = abs(steps[-1]) if steps else 1.0
    places = _places(gap)
    return [
        Tick(_percent(pane.y(step)), f"{signed(Decimal(str(round(step, 9))), places)} %")
        for step in steps
    ]


def _area(points: Sequence[tuple[float, float]], pane: _Scale) -> str:
    zero = round(pane.y(0.0) * 10)
    path = _path(points, (), pane)
    return f"{path}V{zero}H0z"


def _summary(ranked: Sequence[Line], series: Series) -> str:
    def told(line: Line) -> str:
        return f"{line.entrant.name} with {signed_pct(line.points[-1][1] / series.capital - 1)}"

    best, worst = ranked[0], ranked[-1]
    text = f"Return since start of {len(ranked)} participants over {series.rounds} rounds. "
    if best is worst:
        return f"{text}{told(best)}."
    return f"{text}First is {told(best)}, last is {told(worst)}."


def _percent(value: float) -> str:
    return f"{value:.2f}%"
