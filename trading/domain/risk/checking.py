"""All rules over one order, each with its limit and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from marketdata.domain.facts import Quote
from trading.domain.denials import Denial, DenialCode, RuleCheck
from trading.domain.intents import OrderIntent
from trading.domain.money import ZERO, exact, figure
from trading.domain.pricing import taker_price
from trading.domain.risk.money import margin_rules
from trading.domain.risk.projection import project
from trading.domain.risk.shape import reduce_only_rules, shape_rules
from trading.domain.risk.sizes import size_rules
from trading.domain.risk.verdicts import Verdict
from trading.domain.rules import BookRules
from trading.domain.sizing import LARGEST_SIZE, no_quantity, unknown_symbol
from trading.domain.state import AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCheck:
    """What the rules say of one order.

    ``expected_price`` is the price at which it was counted (None when there is no market for it); ``reserved`` is what must be set
    aside until it ends.
    """

    checks: tuple[RuleCheck, ...]
    denial: Denial | None
    expected_price: Decimal | None
    reserved: Decimal


@exact
def check_order(
    state: AccountState, intent: OrderIntent, quote: Quote | None, rules: BookRules
) -> OrderCheck:
    """Look at every rule; the first one broken makes the denial.

    ``state`` needs the marks of its other open positions, but not for a reduce-only order; the symbol's own mark is the quote's. An
    order that only reduces is never refused for margin. One that opens must leave free margin at or above zero after its fill, fee and
    spread paid.
    """
    spec = rules.find_spec(intent.symbol)
    if spec is None:
        return _refused(unknown_symbol(intent.symbol, rules), limit=",".join(rules.symbols))
    if quote is None:
        return _refused(
            Denial(DenialCode.NO_QUOTE, {"symbol": intent.symbol}), limit="a quote", value=None
        )
    if not intent.quantity.is_finite() or abs(intent.quantity) > LARGEST_SIZE:
        return _refused(no_quantity(intent.quantity), limit=figure(LARGEST_SIZE), value=None)
    price = taker_price(quote, intent.side, rules=rules, spec=spec)
    basic = list(size_rules(intent, spec, rules, price))
    if intent.quantity <= 0:
        return _verdict(basic, price, ZERO)
    if intent.reduce_only:
        # A reduction takes the position's leverage, whatever its own says.
        return _verdict([*basic, *reduce_only_rules(state, intent)], price, ZERO)
    if intent.leverage < 1:
        return _verdict(basic, price, ZERO)
    view = project(state, intent, quote=quote, rules=rules, price=price)
    verdicts = [*basic, *shape_rules(view), *margin_rules(view)]
    return _verdict(verdicts, price, view.reserve)


def _refused(denial: Denial, *, limit: str, value: str | None = "") -> OrderCheck:
    found = denial.context.get("symbol", "") if value == "" else value
    check = RuleCheck(denial.code, limit, found, passed=False)
    return OrderCheck(checks=(check,), denial=denial, expected_price=None, reserved=ZERO)


def _verdict(verdicts: list[Verdict], price: Decimal, reserved: Decimal) -> OrderCheck:
    denial = next((denial for _, denial in verdicts if denial), None)
    return OrderCheck(
        checks=tuple(check for check, _ in verdicts),
        denial=denial,
        expected_price=price,
        reserved=ZERO if denial else reserved,
    )
