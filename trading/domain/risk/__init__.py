"""The rules that an order must keep."""

from __future__ import annotations

from trading.domain.risk.checking import OrderCheck, check_order
from trading.domain.risk.pace import with_pace

__all__ = ["OrderCheck", "check_order", "with_pace"]
