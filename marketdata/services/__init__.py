"""Writes of market facts: candles, snapshots, instruments; and the renewal of stored secrets."""

from __future__ import annotations

from marketdata.domain.default_instruments import default_specs
from marketdata.domain.manifest import funding_of, quotes_of
from marketdata.services.candle_files import CandleFileError
from marketdata.services.candles import Gap, ImportReport, import_candles
from marketdata.services.instruments import add_known_instruments, ensure_instruments
from marketdata.services.quotes import sound_quotes
from marketdata.services.secrets import Rotation, rotate_secrets, secret_fields
from marketdata.services.snapshots import CapturedSnapshot, capture_snapshot
from marketdata.services.views import SHOWN_INDICATORS, market_view

__all__ = [
    "SHOWN_INDICATORS",
    "CandleFileError",
    "CapturedSnapshot",
    "Gap",
    "ImportReport",
    "Rotation",
    "add_known_instruments",
    "capture_snapshot",
    "default_specs",
    "ensure_instruments",
    "funding_of",
    "import_candles",
    "market_view",
    "quotes_of",
    "rotate_secrets",
    "secret_fields",
    "sound_quotes",
]
