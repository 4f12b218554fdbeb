"""Instruments as tables of what may be traded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction

from marketdata.domain.default_instruments import default_specs
from marketdata.domain.instruments import InstrumentSpec
from marketdata.models import Instrument


@transaction.atomic
def ensure_instruments(specs: Iterable[InstrumentSpec]) -> list[Instrument]:
    """Make or update one instrument for each spec and return them in that order; whether it is enabled stays as it is."""
    return [
        Instrument.objects.update_or_create(
            symbol=spec.symbol,
            defaults={
                "asset_class": str(spec.asset_class),
                "base_asset": spec.base_asset,
                "quote_asset": spec.quote_asset,
                "tick_size": spec.tick,
                "step_size": spec.step,
                "min_quantity": spec.min_quantity,
                "max_quantity": spec.max_quantity,
                "min_notional": spec.min_notional,
                "max_leverage": spec.max_leverage,
            },
        )[0]
        for spec in specs
    ]


@transaction.atomic
def add_known_instruments(symbols: Sequence[str]) -> list[str]:
    """Make instruments for those symbols that have none but are known from the start; return the symbols still without one."""
    held = set(Instrument.objects.filter(symbol__in=symbols).values_list("symbol", flat=True))
    known = default_specs()
    missing = [symbol for symbol in symbols if symbol not in held]
    ensure_instruments(known[symbol] for symbol in missing if symbol in known)
    return [symbol for symbol in missing if symbol not in known]
