"""Market data in the admin: instruments and feeds are set up here, facts are looked at."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html

from marketdata.admin_defaults import ShippedDefaults
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
from marketdata.services import add_known_instruments, default_specs

SHOWN_CHARACTERS = 20_000
# No venue has finer steps, larger orders or more leverage; beyond them lies a slip of the finger.
MOST_DECIMALS = 12
MOST_LIMIT = Decimal(10) ** 12
MOST_LEVERAGE = 1000
MOST_SPREAD_BPS = 1000


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
        for name in ("tick_size", "step_size", "min_quantity", "max_quantity", "min_notional"):
            # A refused value is not in ``cleaned`` any more.
            if (value := cleaned.get(name)) is not None and (problem := _problem_of(name, value)):
                self.add_error(name, problem)
        self._clean_quantities(cleaned)
        leverage = cleaned.get("max_leverage")
        if leverage is not None and leverage > MOST_LEVERAGE:
            self.add_error("max_leverage", f"must be at most {MOST_LEVERAGE}, was {leverage}")
        return cleaned

    def _clean_quantities(self, cleaned: dict[str, Any]) -> None:
        least, most = cleaned.get("min_quantity"), cleaned.get("max_quantity")
        if least is not None and most is not None and most < least:
            self.add_error("max_quantity", f"must be at least the smallest ({least}), was {most}")
        step = cleaned.get("step_size")
        for name in ("min_quantity", "max_quantity"):
            value = cleaned.get(name)
            if value is not None and step is not None and value % step != 0:
                self.add_error(name, f"must be a whole number of steps ({step}), was {value}")


def _problem_of(name: str, value: Decimal) -> str:
    """Return why a limit makes no sense by itself, empty when it does."""
    decimals = -int(value.normalize().as_tuple().exponent)
    if decimals > MOST_DECIMALS:
        return f"must have at most {MOST_DECIMALS} decimals, had {decimals}"
    if value >= MOST_LIMIT:
        return f"must be below {MOST_LIMIT:,}"
    if name == "min_notional":
        return f"must be at least 0, was {value}" if value < 0 else ""
    return f"must be above 0, was {value}" if value <= 0 else ""


@admin.register(Instrument)
class InstrumentAdmin(ShippedDefaults, admin.ModelAdmin[Instrument]):
    form = InstrumentForm
    defaults_label = "Add the shipped instruments"
    defaults_permissions = ("marketdata.add_instrument",)
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
        (
            None,
            {
                "fields": (
                    "symbol",
                    "name",
                    "asset_class",
                    "base_asset",
                    "quote_asset",
                    "is_enabled",
                ),
                "description": "What may be traded. A competition chooses among those that its feed has prices of.",
            },
        ),
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
                ),
            },
        ),
    )

    def add_defaults(self) -> None:
        add_known_instruments(list(default_specs()))


HOW_TO_IMPORT = (
    "there are none yet: bring files in with manage.py import_candles FOLDER, "
    "or choose the synthetic market, which needs none"
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
        if cleaned.get("seed") and kind != FeedKind.SYNTHETIC:
            self.add_error("seed", f"is for synthetic markets, this one is {kind}; leave it at 0")
        spread = cleaned.get("spread_bps")
        if spread is not None and spread > MOST_SPREAD_BPS:
            self.add_error("spread_bps", f"must be at most {MOST_SPREAD_BPS} (10 %), was {spread}")
        return cleaned

    def clean_source(self) -> str:
        """Take names that can be typed again: they are written into records and commands."""
        source: str = self.cleaned_data["source"]
        if strange := re.search(r"[^A-Za-z0-9._-]", source):
            raise forms.ValidationError(
                f"letters, digits and . _ - only, found {strange[0]!r} at character {strange.start() + 1}"
            )
        return source

    def clean_base_url(self) -> str:
        """Refuse an address that holds a password."""
        address: str = self.cleaned_data["base_url"]
        if "@" in address:
            raise forms.ValidationError("must hold no user or password: public prices need none")
        if address and not address.startswith(("https://", "http://")):
            raise forms.ValidationError(
                f"must start with https:// or http://, was {address[:60]!r}"
            )
        return address

    def _check_replay(self, source: str) -> None:
        sources = sorted(set(CandleSeries.objects.values_list("source", flat=True)))
        if source not in sources:
            held = f"there are: {', '.join(sources)}" if sources else HOW_TO_IMPORT
            self.add_error("source", f"no candles are stored under {source!r}; {held}")

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
    fieldsets = (
        (
            None,
            {
                "fields": ("slug", "name", "kind", "source"),
                "description": "Where prices come from. Once a season has used it, what its market is made from stays as it is.",
            },
        ),
        (
            "Of its kind",
            {
                "fields": ("seed", "spread_bps", "base_url"),
                "description": "A seed for the synthetic market, a spread for it and for replays, another address for Binance.",
            },
        ),
    )

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
