"""Market data in the admin: instruments and feeds are set up here, facts are looked at."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from marketdata.admin_lists import LongList
from marketdata.admin_readonly import ReadOnlyAdmin
from marketdata.models import (
    Blob,
    Candle,
    CandleSeries,
    Feed,
    FeedHealth,
    FundingRate,
    Instrument,
    MarginTier,
    MarketSnapshot,
)
from marketdata.models.feeds import FeedKind

SHOWN_CHARACTERS = 20_000


class InstrumentForm(forms.ModelForm[Instrument]):
    """Refuses limits under which no order could ever be placed."""

    class Meta:
        model = Instrument
        fields: ClassVar[list[str]] = [
            "symbol",
            "name",
            "asset_class",
            "base_asset",
            "quote_asset",
            "tick_size",
            "step_size",
            "min_quantity",
            "max_quantity",
            "min_notional",
            "max_leverage",
            "is_enabled",
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("tick_size", "step_size", "min_quantity"):
            value = cleaned.get(name)
            if value is not None and value <= 0:
                self.add_error(name, f"must be above 0, was {value}")
        notional = cleaned.get("min_notional")
        if notional is not None and notional < 0:
            self.add_error("min_notional", f"must be at least 0, was {notional}")
        least, most = cleaned.get("min_quantity"), cleaned.get("max_quantity")
        if least is not None and most is not None and most < least:
            self.add_error("max_quantity", f"must be at least the smallest ({least}), was {most}")
        return cleaned


@admin.register(Instrument)
class InstrumentAdmin(admin.ModelAdmin[Instrument]):
    form = InstrumentForm
    list_display = (
        "symbol",
        "asset_class",
        "tick_size",
        "step_size",
        "min_notional",
        "max_leverage",
        "is_enabled",
    )
    list_filter = ("asset_class", "is_enabled")
    search_fields = ("symbol", "name")
    ordering = ("symbol",)
    fieldsets = (
        (None, {"fields": ("symbol", "name", "asset_class", "base_asset", "quote_asset")}),
        (
            "Limits",
            {
                "description": "A competition freezes a copy of these at its start; a change here counts for the next one.",
                "fields": (
                    "tick_size",
                    "step_size",
                    "min_quantity",
                    "max_quantity",
                    "min_notional",
                    "max_leverage",
                    "is_enabled",
                ),
            },
        ),
    )


class FeedForm(forms.ModelForm[Feed]):
    """Refuses a replay of candles that nobody imported, and a second market under one source."""

    base_url = forms.URLField(
        required=False, assume_scheme="https", help_text=Feed._meta.get_field("base_url").help_text
    )

    class Meta:
        model = Feed
        fields: ClassVar[list[str]] = [
            "slug",
            "name",
            "kind",
            "source",
            "seed",
            "spread_bps",
            "base_url",
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind, source = cleaned.get("kind"), cleaned.get("source")
        if not kind or not source:
            return cleaned
        if kind == FeedKind.REPLAY:
            self._check_replay(source)
        if kind == FeedKind.SYNTHETIC:
            self._check_synthetic(source, cleaned.get("seed") or 0)
        if cleaned.get("base_url") and kind != FeedKind.BINANCE:
            self.add_error("base_url", f"is for Binance feeds, this one is {kind}; leave it empty")
        return cleaned

    def _check_replay(self, source: str) -> None:
        sources = sorted(set(CandleSeries.objects.values_list("source", flat=True)))
        if source not in sources:
            held = ", ".join(sources) or "none yet; run manage.py import_candles"
            self.add_error("source", f"no candles are stored under {source!r}; there are: {held}")

    def _check_synthetic(self, source: str, seed: int) -> None:
        others = Feed.objects.filter(source=source).exclude(pk=self.instance.pk)
        clash = others.exclude(kind=FeedKind.SYNTHETIC, seed=seed).first()
        if clash is not None:
            self.add_error(
                "source",
                f"the feed {clash.slug} stores other candles under {source!r}; choose another name",
            )


@admin.register(Feed)
class FeedAdmin(admin.ModelAdmin[Feed]):
    form = FeedForm
    list_display = ("slug", "name", "kind", "source", "last_ok", "last_trouble")
    list_filter = ("kind",)
    search_fields = ("slug", "name", "source")
    list_select_related = ("health",)
    ordering = ("slug",)

    def get_readonly_fields(self, request: HttpRequest, obj: Feed | None = None) -> list[str]:
        """Freeze what a stored market was made from, once there are snapshots of it."""
        if obj is not None and obj.snapshots.exists():
            return ["kind", "source", "seed", "spread_bps"]
        return []

    @admin.display(description="last good answer")
    def last_ok(self, feed: Feed) -> str:
        health = getattr(feed, "health", None)
        return f"{health.last_ok_at:%Y-%m-%d %H:%M:%S}" if health and health.last_ok_at else "—"

    @admin.display(description="last trouble")
    def last_trouble(self, feed: Feed) -> str:
        health = getattr(feed, "health", None)
        if health is None or health.last_error_at is None:
            return "—"
        return f"{health.last_error_at:%Y-%m-%d %H:%M:%S} {health.last_error}"


@admin.register(MarginTier)
class MarginTierAdmin(ReadOnlyAdmin, admin.ModelAdmin[MarginTier]):
    list_display = (
        "instrument",
        "version",
        "notional_floor",
        "notional_cap",
        "maintenance_rate",
        "max_leverage",
    )
    list_filter = ("version",)
    list_select_related = ("instrument",)
    search_fields = ("instrument__symbol",)


@admin.register(CandleSeries)
class CandleSeriesAdmin(ReadOnlyAdmin, admin.ModelAdmin[CandleSeries]):
    list_display = ("source", "symbol", "timeframe", "first_open", "last_open")
    list_filter = ("source", "timeframe")
    search_fields = ("symbol",)
    ordering = ("source", "symbol", "timeframe")

    def get_queryset(self, request: HttpRequest) -> Any:
        return CandleSeries.objects.with_extent()

    @admin.display(description="first candle")
    def first_open(self, series: Any) -> Any:
        return series.first_open

    @admin.display(description="last candle")
    def last_open(self, series: Any) -> Any:
        return series.last_open


@admin.register(Candle)
class CandleAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Candle]):
    list_display = ("series", "open_at", "open", "high", "low", "close", "volume")
    list_filter = ("series",)
    list_select_related = ("series",)
    ordering = ("-pk",)


@admin.register(FundingRate)
class FundingRateAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[FundingRate]):
    list_display = ("source", "symbol", "at", "rate", "mark")
    search_fields = ("symbol", "source")
    ordering = ("-at",)


@admin.register(FeedHealth)
class FeedHealthAdmin(ReadOnlyAdmin, admin.ModelAdmin[FeedHealth]):
    list_display = ("feed", "last_ok_at", "last_error_at", "last_error")
    list_select_related = ("feed",)


@admin.register(MarketSnapshot)
class MarketSnapshotAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[MarketSnapshot]):
    list_display = ("as_of", "feed", "status", "captured_at", "manifest_id")
    list_filter = ("status", "feed")
    list_select_related = ("feed",)
    ordering = ("-as_of",)
    readonly_fields = ("content_text",)

    @admin.display(description="content")
    def content_text(self, snapshot: MarketSnapshot) -> str:
        return _as_text(snapshot.manifest)


@admin.register(Blob)
class BlobAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Blob]):
    list_display = ("sha256", "size")
    search_fields = ("sha256__startswith",)
    fields = ("sha256", "size", "content_text")
    readonly_fields = ("content_text",)

    def get_queryset(self, request: HttpRequest) -> Any:
        # A list of a hundred blobs must not read a hundred texts.
        return super().get_queryset(request).defer("packed")

    @admin.display(description="content")
    def content_text(self, blob: Blob) -> str:
        return _as_text(blob)


def _as_text(blob: Blob) -> str:
    """Return the text escaped, cut at 20,000 characters: it may be a model's, thus is never markup."""
    text = blob.raw().decode("utf-8", "replace")
    cut = "\n…" if len(text) > SHOWN_CHARACTERS else ""
    return format_html("<pre>{}{}</pre>", text[:SHOWN_CHARACTERS], cut)
