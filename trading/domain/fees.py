"""What an execution costs."""

from __future__ import annotations

from decimal import Decimal

from marketdata.domain.instruments import round_money
from trading.domain.money import BPS, exact
from trading.domain.rules import BookRules


@exact
def execution_fee(
    quantity: Decimal, price: Decimal, *, rules: BookRules, is_maker: bool = False
) -> Decimal:
    """Return the fee on the notional of one execution; negative for a maker's rebate."""
    rate = rules.fee_bps_maker if is_maker else rules.fee_bps_taker
    return round_money(quantity * price * rate / BPS)
