"""The frozen rules: one canonical text, and no nonsense."""

from __future__ import annotations

import json

import pytest

from tests.trading.builders import D, make_rules, spec
from trading.domain.rules import BookRules, FillRule, MarginMode, StopOutBasis
from trading.domain.tiers import default_table


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
        ({"margin_model": "spot"}, "margin_model must be one of perpetual, cfd, was 'spot'"),
        ({"fill_rule": "later"}, "fill_rule must be one of arrival, snapshot, next_bar"),
        ({"instruments": ()}, "a book needs at least one instrument, found none"),
        ({"instruments": (spec(), spec())}, "each symbol may be listed once"),
        ({"instruments": (spec(quote_asset="EUR"),)}, "XUSDT settles in EUR, the book in USDT"),
        ({"instruments": (spec(tick=D(0)),)}, "XUSDT needs tick and step above 0"),
        ({"settlement_asset": ""}, "settlement_asset must name a currency"),
        ({"margin_mode": "shared"}, "margin_mode must be one of cross, isolated, was 'shared'"),
        ({"stop_out_basis": "bid"}, "stop_out_basis must be one of open, mark, was 'bid'"),
        ({"margin_model": "cfd", "margin_mode": "isolated"}, "must be cross in a cfd book"),
        ({"clearance_fee_bps": D(1001)}, "clearance_fee_bps must be between 0 and 1000, was 1001"),
        ({"clearance_fee_bps": D("NaN")}, "clearance_fee_bps must be a finite decimal"),
        ({"clearance_fees": (("XUSDT", D(-1)),)}, "fee of XUSDT must be between 0 and 1000"),
        ({"clearance_fees": (("QUSDT", D(1)),)}, "clearance_fees must be .*, found QUSDT"),
        ({"clearance_fees": (("XUSDT", D(1)),) * 2}, "clearance_fees may list each symbol once"),
        ({"tiers": (default_table(spec("QUSDT")),)}, "tiers must be .*, found QUSDT"),
        ({"tiers": (default_table(spec("XUSDT")),) * 2}, "tiers may list each symbol once"),
        (
            {"max_decisions_per_hour": 0},
            "max_decisions_per_hour must be at least 1, or None, was 0",
        ),
        ({"max_decisions_per_hour": True}, "max_decisions_per_hour must be .*, was True"),
        ({"overnight_bps_long": D(1001)}, r"overnight_bps_long must be within \+-1000, was 1001"),
        ({"overnight_bps_short": D("NaN")}, "overnight_bps_short must be a finite decimal"),
        ({"overnight_hour_utc": 24}, "overnight_hour_utc must be between 0 and 23, was 24"),
        ({"drawdown_warn_pct": D(0)}, "drawdown_warn_pct must be above 0 and below 100, was 0"),
        ({"drawdown_stop_pct": D(100)}, "drawdown_stop_pct must be above 0 and below 100"),
        ({"drawdown_stop_pct": D("NaN")}, "drawdown_stop_pct must be a finite decimal, or None"),
        (
            {"drawdown_warn_pct": D(20), "drawdown_stop_pct": D(20)},
            "drawdown_stop_pct must be above 20 and below 100, was 20",
        ),
        (
            {
                "drawdown_warn_pct": D(20),
                "drawdown_close_pct": D(10),
                "acts_between_rounds": True,
            },
            "drawdown_close_pct must be above 20 and below 100, was 10",
        ),
        ({"drawdown_close_pct": D(20)}, "drawdown_close_pct needs acts_between_rounds"),
        ({"leverage_limits": (("QUSDT", 2),)}, "leverage_limits must be .*, found QUSDT"),
        ({"leverage_limits": (("XUSDT", 2),) * 2}, "leverage_limits may list each symbol once"),
        ({"leverage_limits": (("XUSDT", 0),)}, r"between 1 and max_leverage \(20\), was 0"),
        ({"leverage_limits": (("XUSDT", 21),)}, r"between 1 and max_leverage \(20\), was 21"),
        ({"leverage_limits": (("XUSDT", "5"),)}, "limit of XUSDT must be a whole number .* '5'"),
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


# Rules as books stored them before liquidation was known.
OLDER = (
    '{"allow_pyramiding":true,"allow_short":true,"default_leverage":1,"fee_bps_maker":"2","fee_bps_taker":"5",'
    '"fill_rule":"arrival","instruments":[{"asset_class":"CRYPTO","base_asset":"","max_leverage":50,'
    '"max_quantity":null,"min_notional":"5","min_quantity":"0.001","quote_asset":"USDT","step":"0.001",'
    '"symbol":"XUSDT","tick":"0.01"}],"maintenance_margin_pct":"5","margin_buffer":"1","margin_model":"perpetual",'
    '"margin_requirement_pct":"10","max_leverage":20,"max_margin_usage_pct":"100","max_open_positions":5,'
    '"max_position_size_pct":"100","resting_orders":false,"settlement_asset":"USDT","slippage_bps":"0"}'
)


def test_rules_from_before_liquidation_load_and_keep_their_bytes():
    rules = BookRules.from_json(OLDER)

    assert rules == make_rules(instruments=(spec(),))
    assert rules.to_json() == OLDER
    assert not rules.acts_between_rounds


def test_only_what_differs_from_the_default_is_added_to_the_bytes():
    rules = make_rules(
        acts_between_rounds=True,
        margin_mode=MarginMode.ISOLATED,
        stop_out_basis=StopOutBasis.OPEN,
        tiers=(default_table(spec("YUSDT")), default_table(spec("XUSDT"))),
        clearance_fee_bps=D("1.50"),
        clearance_fees=(("ZUSDT", D(30)), ("XUSDT", D("12.5"))),
        leverage_limits=(("YUSDT", 5), ("XUSDT", 3)),
        max_decisions_per_hour=4,
        drawdown_warn_pct=D(10),
        drawdown_stop_pct=D("20.50"),
        drawdown_close_pct=D(30),
        overnight_bps_long=D("0.80"),
        overnight_bps_short=D("-0.2"),
        overnight_hour_utc=22,
    )
    added = json.loads(rules.to_json())
    for name in json.loads(make_rules().to_json()):
        del added[name]

    assert set(added) == {
        "acts_between_rounds",
        "margin_mode",
        "stop_out_basis",
        "tiers",
        "clearance_fee_bps",
        "clearance_fees",
        "leverage_limits",
        "max_decisions_per_hour",
        "drawdown_warn_pct",
        "drawdown_stop_pct",
        "drawdown_close_pct",
        "overnight_bps_long",
        "overnight_bps_short",
        "overnight_hour_utc",
    }
    assert added["drawdown_stop_pct"] == "20.5"
    assert added["leverage_limits"] == {"XUSDT": 3, "YUSDT": 5}
    assert added["clearance_fees"] == {"XUSDT": "12.5", "ZUSDT": "30"}
    assert added["clearance_fee_bps"] == "1.5"
    assert [table["symbol"] for table in added["tiers"]] == ["XUSDT", "YUSDT"]
    assert BookRules.from_json(rules.to_json()) == rules
    assert [rules.clearance_rate(symbol) for symbol in rules.symbols] == [D("12.5"), D("1.5"), 30]


def test_the_lowest_limit_of_a_symbol_counts():
    specs = (spec("XUSDT"), spec("YUSDT", max_leverage=4), spec("ZUSDT"))
    rules = make_rules(instruments=specs, leverage_limits=(("XUSDT", 3), ("YUSDT", 5)))

    # The symbol's own, the instrument's, the book's.
    assert [rules.leverage_limit(item) for item in specs] == [3, 4, 20]
