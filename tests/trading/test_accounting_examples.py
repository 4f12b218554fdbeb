"""The worked examples of docs/accounting.md, computed again.

A block that opens with ```example NAME holds one ``figure = value`` a line; ``result`` is what NAME gives for the others, to as many
decimals as it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from marketdata.domain.default_instruments import default_specs
from tests.trading.builders import T0, D, account, holding, make_rules
from trading.domain.drawdown import drawdown_pct
from trading.domain.drawdown_closing import close_for_drawdown
from trading.domain.liquidation import liquidate
from trading.domain.maintenance import (
    account_health,
    bankruptcy_price,
    liquidation_price,
    position_health,
)
from trading.domain.overnight import overnight_payment
from trading.domain.rules import BookRules, MarginModel
from trading.domain.state import AccountState, PositionState
from trading.domain.tier_tables import known_tables

Figures = dict[str, str]


def held(figures: Figures) -> PositionState:
    sign = {"long": 1, "short": -1}[figures["side"]]
    return holding(
        sign * D(figures["quantity"]),
        figures["entry"],
        figures.get("symbol", "XUSDT"),
        leverage=int(figures.get("leverage", "1")),
    )


def state(figures: Figures) -> AccountState:
    position = held(figures)
    marks = {position.symbol: figures["mark"]} if "mark" in figures else {}
    return account(figures.get("wallet", "1000"), position, marks=marks)


def perpetual(figures: Figures) -> BookRules:
    return make_rules(
        acts_between_rounds=True,
        instruments=tuple(default_specs().values()),
        tiers=tuple(known_tables().values()),
        margin_mode=figures.get("mode", "isolated"),
        clearance_fee_bps=D(figures.get("clearance_bps", "0")),
    )


def cfd(figures: Figures) -> BookRules:
    requirement = D(figures.get("requirement", "10"))
    return make_rules(
        acts_between_rounds=True,
        margin_model=MarginModel.CFD,
        stop_out_basis=figures.get("basis", "mark"),
        margin_requirement_pct=requirement,
        maintenance_margin_pct=requirement / 2,
    )


def liquidated_wallet(figures: Figures) -> Decimal:
    outcome = liquidate(state(figures), perpetual(figures), at=T0)
    assert outcome is not None
    return outcome.state.wallet


def drawdown_wallet(figures: Figures) -> Decimal:
    rules = make_rules(acts_between_rounds=True, drawdown_close_pct=D(figures["limit"]))
    fallen = replace(state(figures), peak=D(figures["peak"]))
    outcome = close_for_drawdown(fallen, rules, at=T0)
    assert outcome is not None
    return outcome.state.wallet


def overnight(figures: Figures) -> Decimal:
    sign = {"long": 1, "short": -1}[figures["side"]]
    quantity = sign * D(figures["quantity"])
    return overnight_payment(quantity, mark=D(figures["mark"]), rate_bps=D(figures["rate"]))


FORMULAS: dict[str, Callable[[Figures], Decimal | None]] = {
    "maintenance_margin": lambda of: known_tables()[of["symbol"]].maintenance_margin(
        D(of["notional"])
    ),
    "margin_ratio": lambda of: position_health(state(of), of["symbol"], perpetual(of)).ratio,
    "margin_level": lambda of: account_health(state(of), cfd(of)).level,
    "liquidation_price": lambda of: liquidation_price(state(of), of["symbol"], perpetual(of)),
    "bankruptcy_price": lambda of: bankruptcy_price(state(of), of["symbol"], perpetual(of)),
    "stop_out_price": lambda of: liquidation_price(state(of), "XUSDT", cfd(of)),
    "liquidated_wallet": liquidated_wallet,
    "drawdown": lambda of: drawdown_pct(D(of["peak"]), D(of["equity"])),
    "drawdown_wallet": drawdown_wallet,
    "overnight": overnight,
}


def examples() -> list[tuple[str, Figures]]:
    text = (Path(settings.BASE_DIR) / "docs" / "accounting.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```example (\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [
        (name, dict(map(str.strip, line.split("=")) for line in body.splitlines()))
        for name, body in blocks
    ]


@pytest.mark.parametrize(("name", "figures"), examples())
def test_a_worked_example_gives_what_the_document_says(name: str, figures: Figures):
    wanted = D(figures["result"])

    found = FORMULAS[name](figures)

    assert found is not None
    assert found.quantize(wanted) == wanted


def test_every_formula_has_an_example():
    assert {name for name, _ in examples()} == set(FORMULAS)
