"""What an order may open in a book that acts between rounds: tiers, isolated wallets, a CFD broker's margin."""

from __future__ import annotations

from tests.trading.builders import T0, D, buy, funded, make_rules, play, quote, sell, tier_table
from trading.domain.denials import DenialCode
from trading.domain.engine import step
from trading.domain.events import MarksSeen, OrderAsked
from trading.domain.intents import Wish, WishAction
from trading.domain.margin import account_figures
from trading.domain.rules import MarginMode, MarginModel, StopOutBasis
from trading.domain.sizing import size_instruction

TABLE = tier_table((0, 1000, "0.01", 0, 20), (1000, 5000, "0.02", 10, 10))


def acting(**changes):
    return make_rules(acts_between_rounds=True, **{"tiers": (TABLE,), **changes})


def denied(state, intent, market, rules):
    return step(state, OrderAsked(T0, "o", intent, market), rules).denials


def test_the_tier_of_the_notional_after_the_fill_bounds_the_leverage():
    rules = acting()
    state, _ = play(funded(rules), rules, (buy("10", leverage=20), quote("100")))

    # 10 * 100 is the first tier's last notional; one step more is the second's.
    (denial,) = denied(state, buy("0.06", leverage=20), quote("100"), rules)

    assert str(denial) == (
        "LEVERAGE_ABOVE_LIMIT asked=20 max=10 notional=1006.00 tier_above=1000.00"
    )
    assert not denied(funded(rules), buy("10.06", leverage=10), quote("100"), rules)


def test_a_notional_beyond_the_table_is_refused():
    (denial,) = denied(funded(acting()), buy("50.1", leverage=1), quote("100"), acting())

    assert str(denial) == "ABOVE_MAX_NOTIONAL max=5000.00 notional=5010.00"


def test_tiers_do_not_count_while_the_book_does_not_act():
    rules = make_rules(tiers=(TABLE,))

    assert not denied(funded(rules), buy("60", leverage=20), quote("100"), rules)


def test_an_isolated_position_ties_up_its_wallet_and_its_profit():
    rules = acting(margin_mode=MarginMode.ISOLATED, fee_bps_taker=D(0))
    state, _ = play(funded(rules, "1000"), rules, (buy("5", leverage=5), quote("100")))

    # 500 / 5 = 100 put up. At 180 the profit of 400 is not free, at 90 the loss of 50 is not missing.
    for mark, equity in (("180", 1400), ("90", 950)):
        figures = account_figures(
            step(state, MarksSeen(T0, {"XUSDT": D(mark)}), rules).state, rules
        )

        assert figures.equity == D(equity)
        assert figures.free_margin == D(900)


def test_profits_of_isolated_positions_cannot_open_others():
    rules = acting(margin_mode=MarginMode.ISOLATED, fee_bps_taker=D(0))
    state, _ = play(funded(rules, "1000"), rules, (buy("5", leverage=5), quote("100")))
    state = step(state, MarksSeen(T0, {"XUSDT": D(180)}), rules).state

    (denial,) = denied(state, buy("9.01", "YUSDT"), quote("100", "YUSDT"), rules)

    assert denial.code is DenialCode.INSUFFICIENT_MARGIN
    assert denial.context == {"free": "900.00", "needed": "901.00"}
    assert not denied(state, buy("9", "YUSDT"), quote("100", "YUSDT"), rules)


def test_a_cfd_ties_up_its_requirement_whatever_the_leverage():
    # C1: .1 bought at the ask of 60000, bid 59990, 10 %: margin 600, equity 999, free 399
    rules = acting(
        margin_model=MarginModel.CFD, tiers=(), stop_out_basis=StopOutBasis.OPEN, fee_bps_taker=D(0)
    )
    market = quote("59995", spread="10")
    state, _ = play(funded(rules, "1000"), rules, (buy("0.1", leverage=10), market))
    state = step(state, MarksSeen(T0, {"XUSDT": D(59990)}), rules).state

    figures = account_figures(state, rules)
    assert (figures.used_margin, figures.equity, figures.free_margin) == (D(600), D(999), D(399))


def test_a_cfd_margin_on_the_mark_moves_with_it():
    rules = acting(margin_model=MarginModel.CFD, tiers=(), fee_bps_taker=D(0))
    state, _ = play(funded(rules, "1000"), rules, (sell("0.1", leverage=3), quote("60000")))
    state = step(state, MarksSeen(T0, {"XUSDT": D(59990)}), rules).state

    # 5999 * 10 %; a short gains 1.
    assert account_figures(state, rules).used_margin == D("599.9")
    assert account_figures(state, rules).equity == D(1001)


def test_all_of_the_free_margin_fits_in_every_model():
    for changes in (
        {"margin_mode": MarginMode.ISOLATED},
        {"margin_model": MarginModel.CFD, "margin_requirement_pct": D(25)},
        {"margin_model": MarginModel.CFD, "stop_out_basis": StopOutBasis.OPEN},
    ):
        rules = acting(tiers=(), max_leverage=10, **changes)
        market = quote("100", spread="0.2")
        for action in (WishAction.OPEN_LONG, WishAction.OPEN_SHORT):
            wish = Wish(action=action, symbol="XUSDT", margin_fraction=D(1), leverage=10)
            order = size_instruction(funded(rules), wish, market, rules)

            assert not denied(funded(rules), order, market, rules)
            # 10x, or the 4x that a requirement of 25 % allows, less fee and spread
            most = 400 if changes.get("margin_requirement_pct") else 1000
            assert D("0.95") * most < order.quantity < most
