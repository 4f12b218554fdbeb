"""How often an account has opened of late."""

from __future__ import annotations

from datetime import datetime

from trading.domain.denials import DenialCode
from trading.domain.risk.pace import PACE_SPAN
from trading.domain.rules import BookRules
from trading.models import Account, Order
from trading.models.orders import OrderStatus


def decisions_last_hour(
    account: Account, rules: BookRules, *, market_at: datetime, turn_key: str
) -> int:
    """Return in how many turns but ``turn_key`` an opening order was accepted in the hour before; 0 where no rule asks for it.

    An accepted order opened or added if the rule was looked at for it: that is kept with the order. One query.
    """
    if rules.max_decisions_per_hour is None:
        return 0
    rows = (
        Order.objects.filter(
            account=account, market_at__gt=market_at - PACE_SPAN, market_at__lte=market_at
        )
        .exclude(status=OrderStatus.DENIED)
        .exclude(turn_key__in=["", turn_key])
        .values_list("turn_key", "checks")
    )
    asked = DenialCode.TOO_MANY_DECISIONS.value
    return len({key for key, checks in rows if any(check["rule"] == asked for check in checks)})
