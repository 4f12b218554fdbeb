"""The trading side in the admin: all of it to be looked at, none of it to be changed by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from marketdata.admin_lists import LongList, SymbolFilter
from marketdata.admin_readonly import ReadOnlyAdmin
from trading.domain.denials import Denial, DenialCode
from trading.models import (
    Account,
    Book,
    EquityPoint,
    EquityRollup,
    Fill,
    OperatorAct,
    Order,
    Position,
    Posting,
    Standing,
    TapeSegment,
)


class DenialFilter(SimpleListFilter):
    """Offers every reason of a refusal, instead of asking all orders for theirs."""

    title = "refused because"
    parameter_name = "denial_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code.value, code.value) for code in DenialCode]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(denial_code=self.value()) if self.value() else queryset


@admin.register(Book)
class BookAdmin(ReadOnlyAdmin, admin.ModelAdmin[Book]):
    list_display = ("code", "venue", "state", "epoch", "tape_position", "created_at")
    list_filter = ("state", "venue")
    search_fields = ("code",)


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin, admin.ModelAdmin[Account]):
    list_display = ("book", "ordinal", "status", "wallet")
    list_filter = ("status",)
    list_select_related = ("book",)
    search_fields = ("book__code",)


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin, admin.ModelAdmin[Position]):
    list_display = (
        "account",
        "seq",
        "symbol",
        "status",
        "quantity",
        "entry_cost",
        "leverage",
        "stop_loss",
        "take_profit",
        "callback_rate",
        "trail_extreme",
        "realised",
        "fees",
        "funding",
        "opened_at",
        "closed_at",
    )
    list_filter = ("status", SymbolFilter)
    list_select_related = ("account",)
    search_fields = ("account__book__code", "symbol")


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Order]):
    list_display = (
        "client_order_id",
        "cause",
        "symbol",
        "side",
        "kind",
        "quantity",
        "filled_quantity",
        "limit_price",
        "trigger_price",
        "callback_rate",
        "time_in_force",
        "leverage",
        "reserved",
        "status",
        "refusal",
        "market_at",
    )
    list_filter = ("status", "cause", "kind", DenialFilter, SymbolFilter)
    search_fields = ("client_order_id", "turn_key")

    @admin.display(description="refused because")
    def refusal(self, order: Order) -> str:
        if not order.denial_code:
            return ""
        return str(Denial(DenialCode(order.denial_code), order.denial_context))


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Fill]):
    list_display = (
        "account",
        "seq",
        "symbol",
        "side",
        "quantity",
        "price",
        "fee",
        "realised",
        "cause",
        "is_maker",
        "latency_ms",
        "at",
    )
    list_filter = (SymbolFilter, "side")
    list_select_related = ("account", "order")
    search_fields = ("order__client_order_id", "trade_id")

    @admin.display(description="cause")
    def cause(self, fill: Fill) -> str:
        return fill.order.get_cause_display()


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Posting]):
    list_display = ("book", "cause_id", "line", "account", "house", "kind", "amount", "at")
    list_filter = ("kind", "house")
    list_select_related = ("book", "account")
    search_fields = ("book__code", "cause_id")


@admin.register(EquityPoint)
class EquityPointAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[EquityPoint]):
    list_display = ("account", "number", "at", "equity", "wallet", "unrealised", "used_margin")
    list_select_related = ("account",)
    search_fields = ("account__book__code",)


@admin.register(EquityRollup)
class EquityRollupAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[EquityRollup]):
    list_display = ("account", "span", "start_at", "first", "low", "high", "last")
    list_filter = ("span",)
    list_select_related = ("account",)
    search_fields = ("account__book__code",)


@admin.register(Standing)
class StandingAdmin(ReadOnlyAdmin, admin.ModelAdmin[Standing]):
    list_display = (
        "account",
        "number",
        "equity",
        "peak",
        "max_drawdown",
        "realised",
        "fees",
        "fills",
        "trades",
        "wins",
        "denials",
    )
    list_select_related = ("account",)
    search_fields = ("account__book__code",)


@admin.register(TapeSegment)
class TapeSegmentAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[TapeSegment]):
    list_display = ("book", "seq", "first_position", "count", "recorded_at")
    list_select_related = ("book",)
    search_fields = ("book__code",)


@admin.register(OperatorAct)
class OperatorActAdmin(ReadOnlyAdmin, admin.ModelAdmin[OperatorAct]):
    list_display = ("book", "seq", "kind", "actor", "reason", "after_round", "market_at", "at")
    list_filter = ("kind",)
    list_select_related = ("book",)
    search_fields = ("book__code", "actor", "reason")
