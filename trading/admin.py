"""The trading side in the admin: all of it to be looked at, none of it to be changed by hand."""

from __future__ import annotations

from django.contrib import admin

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
        "realised",
        "fees",
        "opened_at",
        "closed_at",
    )
    list_filter = ("status", "symbol")
    list_select_related = ("account",)
    search_fields = ("account__book__code", "symbol")


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin, admin.ModelAdmin[Order]):
    list_display = (
        "client_order_id",
        "cause",
        "symbol",
        "side",
        "quantity",
        "filled_quantity",
        "leverage",
        "status",
        "refusal",
        "market_at",
    )
    list_filter = ("status", "cause", "denial_code", "symbol")
    search_fields = ("client_order_id", "turn_key")
    show_full_result_count = False

    @admin.display(description="refused because")
    def refusal(self, order: Order) -> str:
        if not order.denial_code:
            return ""
        return str(Denial(DenialCode(order.denial_code), order.denial_context))


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin, admin.ModelAdmin[Fill]):
    list_display = (
        "account",
        "seq",
        "symbol",
        "side",
        "quantity",
        "price",
        "fee",
        "realised",
        "at",
    )
    list_filter = ("symbol", "side")
    list_select_related = ("account",)
    search_fields = ("order__client_order_id", "trade_id")
    show_full_result_count = False


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin, admin.ModelAdmin[Posting]):
    list_display = ("book", "cause_id", "line", "account", "house", "kind", "amount", "at")
    list_filter = ("kind", "house")
    list_select_related = ("book", "account")
    search_fields = ("book__code", "cause_id")
    show_full_result_count = False


@admin.register(EquityPoint)
class EquityPointAdmin(ReadOnlyAdmin, admin.ModelAdmin[EquityPoint]):
    list_display = ("account", "number", "at", "equity", "wallet", "unrealised", "used_margin")
    list_select_related = ("account",)
    search_fields = ("account__book__code",)
    show_full_result_count = False


@admin.register(EquityRollup)
class EquityRollupAdmin(ReadOnlyAdmin, admin.ModelAdmin[EquityRollup]):
    list_display = ("account", "span", "start_at", "first", "low", "high", "last")
    list_filter = ("span",)
    list_select_related = ("account",)
    search_fields = ("account__book__code",)
    show_full_result_count = False


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
class TapeSegmentAdmin(ReadOnlyAdmin, admin.ModelAdmin[TapeSegment]):
    list_display = ("book", "seq", "first_position", "count", "recorded_at")
    list_select_related = ("book",)
    search_fields = ("book__code",)
    show_full_result_count = False


@admin.register(OperatorAct)
class OperatorActAdmin(ReadOnlyAdmin, admin.ModelAdmin[OperatorAct]):
    list_display = ("book", "seq", "kind", "actor", "reason", "after_round", "market_at", "at")
    list_filter = ("kind",)
    list_select_related = ("book",)
    search_fields = ("book__code", "actor", "reason")
