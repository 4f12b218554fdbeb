"""Overnight financing of contracts for difference: who pays, when, and that nobody pays twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.trading.builders import T0, D, account, at, buy, funded, holding, make_rules, play, quote
from trading.domain.engine import step
from trading.domain.events import FundingSettled, OvernightPassed
from trading.domain.overnight import overnight_payment, overnight_stamps

CFD = make_rules(margin_model="cfd", overnight_bps_long=D("0.8"), overnight_bps_short=D("-0.25"))
NIGHT = datetime(2026, 3, 1, 21, tzinfo=UTC)
MARKS = {"XUSDT": D(110), "YUSDT": D(50)}


def both_sides():
    """Return an account of 1000 that is 10 long of X and 20 short of Y."""
    return account("1000", holding("10", "100"), holding("-20", "60", "YUSDT", seq=2))


def night(state=None, *, rules=CFD, days: int = 0, marks=MARKS):
    event = OvernightPassed(NIGHT + timedelta(days=days), marks)
    return step(state or both_sides(), event, rules)


@pytest.mark.parametrize(
    ("quantity", "rate", "payment"),
    [
        ("10", "0.8", "-48"),
        ("-10", "0.8", "-48"),
        ("-10", "-0.25", "15"),
        ("10", "0", "0"),
    ],
)
def test_the_holder_pays_a_positive_rate_whatever_the_side(quantity, rate, payment):
    assert overnight_payment(D(quantity), mark=D(60000), rate_bps=D(rate)) == D(payment)


def test_each_side_pays_its_own_rate():
    outcome = night()

    # 10 * 110 * .8 / 10000 paid, 20 * 50 * .25 / 10000 received.
    assert outcome.state.wallet == D("1000") - D("0.088") + D("0.025")
    assert outcome.state.positions["XUSDT"].funding == D("-0.088")
    assert outcome.state.positions["YUSDT"].funding == D("0.025")
    assert [(line.cause_id, line.kind, line.amount, line.house) for line in outcome.postings] == [
        ("night:1:XUSDT:2026-03-01T21:00:00Z", "FUNDING", D("-0.088"), None),
        ("night:1:XUSDT:2026-03-01T21:00:00Z", "FUNDING", D("0.088"), "FUNDING"),
        ("night:1:YUSDT:2026-03-01T21:00:00Z", "FUNDING", D("0.025"), None),
        ("night:1:YUSDT:2026-03-01T21:00:00Z", "FUNDING", D("-0.025"), "FUNDING"),
    ]


def test_a_night_told_twice_is_settled_once_and_the_next_one_again():
    first = night().state
    assert night(first).state == first
    assert night(first).postings == ()
    assert night(first, days=1).state.wallet == D("999.874")
    assert night(first, days=-1).postings == ()


def test_what_was_opened_after_the_night_pays_nothing_for_it():
    late, _ = play(funded(CFD), CFD, (buy("10"), quote("100", minutes=541)))
    assert night(late).postings == ()


def test_a_night_of_a_flat_account_is_not_charged_later():
    seen = night(funded(CFD)).state
    opened, _ = play(seen, CFD, (buy("10"), quote("100", minutes=540)))
    assert at(540) == NIGHT
    assert night(opened).postings == ()


def test_a_perpetual_book_has_no_nights_and_a_cfd_book_no_funding():
    perpetual = make_rules(overnight_bps_long=D(1))
    stamp = FundingSettled(NIGHT, "XUSDT", D("0.01"), D(110))

    assert night(rules=perpetual).state == both_sides()
    assert step(both_sides(), stamp, CFD).state == both_sides()
    assert step(both_sides(), stamp, perpetual).state.wallet == D(989)


def test_marks_that_are_none():
    with pytest.raises(KeyError, match="a mark of YUSDT is wanted"):
        night(marks={"XUSDT": D(1)})
    with pytest.raises(ValueError, match="a night needs a mark of XUSDT above 0, was 0"):
        night(marks={**MARKS, "XUSDT": D(0)})


def stamps(after: datetime, until: datetime, rules=CFD) -> list[datetime]:
    return list(overnight_stamps(after, until, rules))


def test_nights_end_at_the_hour_of_the_contract():
    day = timedelta(days=1)
    assert stamps(T0, T0 + 2 * day) == [NIGHT, NIGHT + day]
    # Later than the first bound, up to and with the second.
    assert stamps(NIGHT, NIGHT + day) == [NIGHT + day]
    assert stamps(NIGHT - day / 24, NIGHT - timedelta(seconds=1)) == []
    early = make_rules(margin_model="cfd", overnight_bps_long=D(1), overnight_hour_utc=5)
    assert stamps(T0, T0 + day, early) == [datetime(2026, 3, 2, 5, tzinfo=UTC)]


def test_nights_are_told_in_utc_whatever_zone_is_asked_in():
    new_york = timezone(timedelta(hours=-5))
    assert stamps(T0.astimezone(new_york), NIGHT) == [NIGHT]


def test_a_book_without_rates_has_no_nights():
    assert stamps(T0, T0 + timedelta(days=9), make_rules(margin_model="cfd")) == []
