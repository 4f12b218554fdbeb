"""The equity chart: thinning, scales, cuts, labels."""

from __future__ import annotations

import itertools
import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competitions.selectors.chart import ChartView, Line, Series, draw
from competitions.selectors.chart.series import MAX_POINTS, Break, thinned
from competitions.selectors.seasons import Entrant

CAPITAL = Decimal(10_000)
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3_600


def entrant(name: str, *, baseline: bool = False, ordinal: int = 1) -> Entrant:
    family = "b" if baseline else "a"
    return Entrant(
        id=uuid.uuid4(),
        ordinal=ordinal,
        slug=name.lower(),
        name=name,
        monogram=name[:2].upper(),
        css=f"{family}{ordinal}",
        symbol=f"{ordinal}",
        is_baseline=baseline,
        state="ACTIVE",
        state_reason="",
        account_id=uuid.uuid4(),
        provider="p",
        model="m",
        key_variable="",
    )


def line(name: str, *equities: int, **fields) -> Line:
    """Return a line with a point every hour from noon on."""
    points = tuple((NOON + place * HOUR, Decimal(value)) for place, value in enumerate(equities))
    return Line(entrant(name, **fields), points)


def series(*lines: Line, breaks=()) -> Series:
    ends = [point[0] for one in lines for point in one.points]
    return Series(tuple(lines), tuple(breaks), CAPITAL, min(ends), max(ends), 3)


def percent(text: str) -> float:
    return float(text.removesuffix("%"))


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ({}, ChartView("all", "pct")),
        ({"range": "72h", "unit": "usdt"}, ChartView("72h", "usdt")),
        ({"range": "1y", "unit": "eur"}, ChartView("all", "pct")),
    ],
)
def test_views_from_query_strings(query, view):
    assert ChartView.of(query) == view


def test_a_view_writes_only_what_differs_from_the_plain_one():
    assert ChartView().query == ""
    assert ChartView("24h").query == "?range=24h"
    assert ChartView("24h", "usdt").query == "?range=24h&unit=usdt"


def test_few_points_are_all_kept():
    points = [(float(place), Decimal(place)) for place in range(MAX_POINTS)]

    assert thinned(points, 0.0) == tuple(points)


# A seed, not a source of chance: thousands of draws are more than one example may hold.
@given(st.integers(1_501, 9_000), st.integers(0, 2**32))
def test_many_points_are_thinned_and_extremes_kept(count, seed):
    random = Random(seed)
    points = [(float(place), Decimal(random.randint(1, 10**6))) for place in range(count)]

    kept = thinned(points, 0.0)

    assert len(kept) <= MAX_POINTS
    assert set(kept) <= set(points)
    assert list(kept) == sorted(kept, key=lambda point: point[0])
    for extreme in (min, max):
        assert extreme(kept, key=lambda p: p[1])[1] == extreme(points, key=lambda p: p[1])[1]
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]


def test_a_window_begins_with_the_value_before_it():
    points = [(0.0, Decimal(1)), (10.0, Decimal(2)), (20.0, Decimal(3))]

    assert thinned(points, 15.0) == ((15.0, Decimal(2)), (20.0, Decimal(3)))


def test_lines_are_steps_from_left_to_right():
    # +1 % after one of two hours: half way the line jumps up.
    chart = draw(series(line("One", 10_000, 10_100, 10_100)), ChartView())

    assert re.fullmatch(r"M0 (\d+)h1040v-(\d+)h1040", chart.strokes[0].path)
    assert chart.ends[0].value == "+1.00"
    assert (
        chart.summary
        == "Return since start of 1 participants over 3 rounds. One with +1.00\u00a0%."
    )


def test_lines_are_cut_at_breaks_and_never_bridged():
    cut = Break(NOON + HOUR, NOON + 2 * HOUR, "the season was paused")
    chart = draw(series(line("One", 10_000, 10_050, 10_100, 10_100), breaks=[cut]), ChartView())

    # 2080 units over three hours: the line ends at one hour (693) and begins anew at two (1387).
    assert re.fullmatch(r"M0 \d+h693v-\d+h0M1387 \d+h693", chart.strokes[0].path)
    assert (chart.hatches[0].x, chart.hatches[0].width) == ("33.33%", "33.33%")
    assert chart.hatches[0].label == "no rounds, 1\u00a0h"
    assert chart.hatches[0].reason == "the season was paused"


def test_the_leader_is_the_best_model_and_not_a_baseline():
    chart = draw(
        series(
            line("Hold", 10_000, 11_000, baseline=True, ordinal=1),
            line("Good", 10_000, 10_500, ordinal=1),
            line("Bad", 10_000, 9_000, ordinal=2),
        ),
        ChartView(),
    )

    assert [stroke.entrant.name for stroke in chart.strokes if stroke.is_lead] == ["Good"]
    # Drawn last, so that it lies above the others.
    assert [stroke.entrant.name for stroke in chart.strokes] == ["Bad", "Good", "Hold"]
    assert chart.drawdown.note == "Bad, \u221210.00 %"


def test_where_no_model_moved_a_baseline_leads():
    chart = draw(
        series(
            line("Idle", 10_000, 10_000, ordinal=1),
            line("Hold", 10_000, 10_100, baseline=True, ordinal=1),
        ),
        ChartView(),
    )

    assert [stroke.entrant.name for stroke in chart.strokes if stroke.is_lead] == ["Hold"]


@given(st.lists(st.integers(5_000, 15_000), min_size=1, max_size=20))
def test_end_labels_never_overlap_and_stay_on_the_plot(finals):
    lines = [
        line(f"N{place}", 10_000, final, ordinal=place + 1) for place, final in enumerate(finals)
    ]

    chart = draw(series(*lines), ChartView())

    places = [percent(end.label_y) for end in chart.ends]
    assert len(places) == min(15, len(finals))
    assert all(3 - 0.01 <= place <= 91 + 0.01 for place in places)
    assert all(b - a >= 5.6 - 0.02 for a, b in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("finals", "unit", "labels"),
    [
        ((10_842, 9_321), "pct", {"+5 %", "0 %", "\u22125 %"}),
        ((10_040, 9_910), "pct", {"0.00 %", "+0.25 %", "\u22120.75 %"}),
        ((10_842, 9_321), "usdt", {"10,000", "10,500", "9,500"}),
    ],
)
def test_ticks_are_round_and_have_the_decimals_they_need(finals, unit, labels):
    lines = [
        line(f"N{place}", 10_000, final, ordinal=place + 1) for place, final in enumerate(finals)
    ]

    chart = draw(series(*lines), ChartView("all", unit))

    found = {tick.label for tick in chart.y_ticks}
    assert labels <= found
    assert len(found) == len(chart.y_ticks)
    assert [tick.label for tick in chart.y_ticks if tick.is_reference] in (
        ["0 %"],
        ["0.00 %"],
        ["10,000"],
    )


@pytest.mark.parametrize(
    ("hours", "label"), [(0.01, r"\d\d:\d\d:\d\d"), (5, r"\d\d:\d\d|\d+ \w+"), (400, r"\d+ \w+")]
)
def test_time_ticks_fit_the_length(hours, label):
    one = Line(entrant("One"), ((NOON, CAPITAL), (NOON + hours * HOUR, CAPITAL)))

    ticks = draw(series(one), ChartView()).x_ticks

    assert 1 <= len(ticks) <= 7
    assert all(re.fullmatch(label, tick.label) for tick in ticks)


def test_no_closed_round_no_lines():
    chart = draw(Series((), (), CAPITAL, 0.0, 0.0, 0), ChartView())

    assert chart.is_empty
    assert chart.strokes == ()


def test_a_lost_account_is_drawn_to_the_bottom():
    chart = draw(series(line("Gone", 10_000, 0, 0)), ChartView())

    assert chart.ends[0].value == "\u2212100.00"
    assert chart.drawdown.note == "Gone, \u2212100.00 %"
