"""Positions, wallets and fees against figures that other engines agree on. Fee 5 bps (0.0005 of notional) a fill."""

from __future__ import annotations

from tests.trading.builders import T0, D, buy, funded, make_rules, play, quote, sell, spec
from trading.domain.engine import step
from trading.domain.events import MarksSeen
from trading.domain.margin import account_figures

RULES = make_rules()
BTC = make_rules(
    instruments=(spec("BTCUSDT", tick=D("0.1"), min_notional=D(5)),),
)

P1 = ((buy("1"), quote("100")), (buy("3"), quote("110")))
P2 = (*P1, (sell("2"), quote("120")))
P3 = (*P2, (sell("2"), quote("130")))


def test_p1_two_entries_average_their_price():
    # cost 1*100 + 3*110 = 430, average 430/4 = 107.5; fees .05 + .165; wallet 10000 - .215
    state, outcomes = play(funded(RULES), RULES, *P1)
    held = state.positions["XUSDT"]
    assert held.quantity == D(4)
    assert held.entry_cost == D(430)
    assert held.entered_cost / held.entered_quantity == D("107.5")
    assert [outcome.fills[0].fee for outcome in outcomes] == [D("0.05"), D("0.165")]
    assert state.wallet == D("9999.785")


def test_p2_a_partial_close_realises_its_share_and_keeps_the_average():
    # released 430*2/4 = 215, proceeds 240, profit 25; fee 240*.0005 = .12; wallet 9999.785 + 25 - .12
    state, outcomes = play(funded(RULES), RULES, *P2)
    held = state.positions["XUSDT"]
    assert outcomes[-1].fills[0].realised == D(25)
    assert held.entry_cost / held.quantity == D("107.5")
    assert state.wallet == D("10024.665")
    # At a mark of 130 the other two are worth 260 - 215 = 45 more than they cost.
    marked = step(state, MarksSeen(T0, {"XUSDT": D(130)}), RULES).state
    assert account_figures(marked).unrealised == D(45)
    assert account_figures(marked).equity == D("10069.665")


def test_p3_the_last_close_leaves_nothing_behind():
    # profit 260 - 215 = 45, fee .13; wallet 10024.665 + 45 - .13 = 10069.535
    state, outcomes = play(funded(RULES), RULES, *P3)
    closed = outcomes[-1].positions[0]
    assert outcomes[-1].fills[0].realised == D(45)
    assert closed.is_closed
    assert (closed.quantity, closed.entry_cost, closed.realised) == (D(0), D(0), D(70))
    assert closed.fees == D("0.465")  # .05 + .165 + .12 + .13
    assert state.positions == {}
    assert state.wallet == D("10069.535")


def test_p4_a_larger_opposite_order_flips():
    # buy 2@100, sell 5@120: profit 40, fees .1 + .3; wallet 10039.6. Buy 3@90: profit 90, fee .135; 10129.465
    state, outcomes = play(
        funded(RULES), RULES, (buy("2"), quote("100")), (sell("5"), quote("120"))
    )
    closed, opened = outcomes[-1].positions
    assert closed.is_closed
    assert closed.realised == D(40)
    assert (opened.quantity, opened.entry_cost, opened.is_long) == (D(-3), D(360), False)
    # The crossing fill's fee of .30 splits by quantity: 2/5 to the close, the rest to the open part.
    assert closed.fees == D("0.1") + D("0.12")
    assert opened.fees == D("0.18")
    assert state.wallet == D("10039.6")
    # One fill, one group of postings: profit and fee, each on both sides.
    assert [(line.kind.value, line.amount, line.house) for line in outcomes[-1].postings] == [
        ("REALISED", D(40), None),
        ("REALISED", D(-40), "CLEARING"),
        ("FEE", D("-0.3"), None),
        ("FEE", D("0.3"), "FEES"),
    ]
    assert {line.cause_id for line in outcomes[-1].postings} == {"fill:1:2"}
    state, _ = play(state, RULES, (buy("3"), quote("90")))
    assert state.wallet == D("10129.465")


def test_p5_a_short_gains_when_the_price_falls():
    # fees 1000*.0005 + 960*.0005 = .98; profit .02*2000 = 40; 1000 + 39.02
    state, _ = play(
        funded(BTC, "1000"),
        BTC,
        (sell("0.02", "BTCUSDT", leverage=10), quote("50000", "BTCUSDT")),
        (buy("0.02", "BTCUSDT", leverage=10), quote("48000", "BTCUSDT")),
    )
    assert state.wallet == D("1039.02")


def test_p6_a_round_trip_pays_the_spread():
    # buys at 50005, sells at 49995: loss .02*10 = .2; fees .50005 + .49995 = 1.00
    market = quote("50000", "BTCUSDT", spread="10")
    state, outcomes = play(
        funded(BTC, "1000"),
        BTC,
        (buy("0.02", "BTCUSDT", leverage=10), market),
        (sell("0.02", "BTCUSDT", leverage=10), market),
    )
    assert [outcome.fills[0].price for outcome in outcomes] == [D(50005), D(49995)]
    assert state.wallet == D("998.80")


def test_p7_a_long_keeps_what_the_fees_leave():
    # .02*1000 = 20, fees .02*60000*.0005 + .02*61000*.0005 = .6 + .61
    state, _ = play(
        funded(BTC, "1000"),
        BTC,
        (buy("0.02", "BTCUSDT", leverage=10), quote("60000", "BTCUSDT")),
        (sell("0.02", "BTCUSDT", leverage=10), quote("61000", "BTCUSDT")),
    )
    assert state.wallet == D("1018.79")


def test_c1_margin_is_notional_over_leverage():
    # cfd example: .1 bought at 60000, bid 59990, 10x: margin 600, equity 999, free 399 (marked at the bid, without a fee)
    rules = make_rules(instruments=(spec("BTCUSDT"),), fee_bps_taker=D(0))
    market = quote("59995", "BTCUSDT", spread="10")
    state, _ = play(funded(rules, "1000"), rules, (buy("0.1", "BTCUSDT", leverage=10), market))
    marked = step(state, MarksSeen(T0, {"BTCUSDT": D(59990)}), rules).state
    figures = account_figures(marked)
    assert figures.equity == D(999)
    # Re-marked margin: .1 * 59990 / 10.
    assert figures.used_margin == D("599.9")
    assert figures.free_margin == D("399.1")


def test_thirds_leave_no_rounding_behind():
    rules = make_rules(
        instruments=(spec("XUSDT", tick=D("0.00000001"), min_notional=D(1)),), fee_bps_taker=D(0)
    )
    price = "33.33333333"
    state, outcomes = play(
        funded(rules),
        rules,
        (buy("0.3"), quote(price)),
        (sell("0.1"), quote(price)),
        (sell("0.1"), quote(price)),
        (sell("0.1"), quote(price)),
    )
    # cost round(.3*33.33333333) = 10; each close gets round(3.333333333) = 3.33333333 and releases
    # 3.33333333, then round(6.66666667/2) = 3.33333334 (half even: 3.333333335), then the rest 3.33333333.
    assert [outcome.fills[0].realised for outcome in outcomes] == [
        D(0),
        D(0),
        D("-0.00000001"),
        D(0),
    ]
    assert state.positions == {}
    assert state.wallet == D("9999.99999999")
