"""Codes of a contract as people say them."""

from __future__ import annotations

from collections.abc import Mapping

FILL_RULES: Mapping[str, str] = {
    "arrival": "the first quote after the answer",
    "snapshot": "the snapshot's quote, for all",
    "next_bar": "the open of the bar that starts at the slot",
}
CLOCKS: Mapping[str, str] = {"WALL": "the wall clock", "DATA": "the clock of the replayed data"}
MARGIN_MODELS: Mapping[str, str] = {
    "perpetual": "perpetual futures",
    "cfd": "contracts for difference",
}
FEED_KINDS: Mapping[str, str] = {
    "REPLAY": "a replay of stored candles",
    "SYNTHETIC": "a synthetic market",
    "BINANCE": "Binance's public prices",
}
MARGIN_MODES: Mapping[str, str] = {
    "cross": "cross: the whole account backs every position",
    "isolated": "isolated: each position is backed by its own margin alone",
}
STOP_OUT_BASES: Mapping[str, str] = {
    "open": "what the open part of a position cost",
    "mark": "what a position is worth now",
}
