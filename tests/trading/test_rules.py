"""The frozen rules: one canonical text, and no nonsense."""

from __future__ import annotations

import json

import pytest

from tests.trading.builders import D, make_rules, spec
from trading.domain.rules import BookRules, FillRule


def test_rules_survive_their_json():
    rules = make_rules(margin_buffer=D("1.2"), fill_rule=FillRule.NEXT_BAR)
    assert BookRules.from_json(rules.to_json()) == rules


def test_equal_rules_have_equal_bytes():
    one = make_rules(slippage_bps=D("1.50"), instruments=(spec("AUSDT"), spec("BUSDT")))
    two = make_rules(slippage_bps=D("1.5"), instruments=(spec("BUSDT"), spec("AUSDT")))
    assert one == two
    assert one.to_json() == two.to_json()
    assert '"slippage_bps":"1.5"' in one.to_json()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_leverage": 0}, "max_leverage must be at least 1, was 0"),
        ({"default_leverage": 21}, r"default_leverage must be between 1 and max_leverage \(20\)"),
        ({"max_open_positions": 0}, "max_open_positions must be at least 1, was 0"),
        ({"fee_bps_taker": D(-1)}, "fee_bps_taker must be between 0 and 1000, was -1"),
        ({"fee_bps_maker": D(-1001)}, r"fee_bps_maker must be within \+-1000, was -1001"),
        ({"slippage_bps": D("NaN")}, "slippage_bps must be a finite decimal"),
        ({"max_position_size_pct": D(101)}, "must be above 0 and at most 100, was 101"),
        ({"max_margin_usage_pct": D(0)}, "must be above 0 and at most 100, was 0"),
        ({"margin_buffer": D("0.9")}, r"margin_buffer must be at least 1, was 0\.9"),
        ({"maintenance_margin_pct": D(11)}, r"at most margin_requirement_pct \(10\), was 11"),
        ({"resting_orders": True}, "resting_orders must be false"),
        ({"margin_model": "spot"}, "margin_model must be one of perpetual, cfd, was 'spot'"),
        ({"fill_rule": "later"}, "fill_rule must be one of arrival, snapshot, next_bar"),
        ({"instruments": ()}, "a book needs at least one instrument, found none"),
        ({"instruments": (spec(), spec())}, "each symbol may be listed once"),
        ({"instruments": (spec(quote_asset="EUR"),)}, "XUSDT settles in EUR, the book in USDT"),
        ({"instruments": (spec(tick=D(0)),)}, "XUSDT needs tick and step above 0"),
        ({"settlement_asset": ""}, "settlement_asset must name a currency"),
    ],
)
def test_rules_that_make_no_sense_are_refused(changes: dict, words: str):
    with pytest.raises(ValueError, match=words):
        make_rules(**changes)


def test_a_missing_or_unknown_field_is_named():
    fields = json.loads(make_rules().to_json())
    del fields["allow_short"]
    fields["allow_shorts"] = True
    with pytest.raises(ValueError, match=r"differing: \['allow_short', 'allow_shorts'\]"):
        BookRules.from_json(json.dumps(fields))


def test_an_unknown_symbol_is_answered_with_those_there_are():
    with pytest.raises(KeyError, match="the book trades XUSDT, YUSDT, ZUSDT, not QUSDT"):
        make_rules().spec("QUSDT")
