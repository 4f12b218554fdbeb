"""Random trading for the oracles, and the files that keep what they answer. Needs none of the tools."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent / "vectors"

# Symbol: start price, tick, step. Far apart, so that rounding shows at either end.
MARKETS = {
    "MIDUSDT": (Decimal("100"), Decimal("0.01"), Decimal("0.001")),
    "BIGUSDT": (Decimal("60000"), Decimal("0.1"), Decimal("0.001")),
    "LOWUSDT": (Decimal("0.2"), Decimal("0.00001"), Decimal("1")),
}
FEE_RATES = ("0", "0.0002", "0.0004", "0.0005", "0.00075")


def trading_sequence(rng: random.Random, *, symbols: int, fills: int) -> list[dict[str, str]]:
    """Return signed fills over ``symbols`` markets: opens, adds, reduces, exact closes and flips, in any order."""
    chosen = rng.sample(sorted(MARKETS), symbols)
    prices = {symbol: MARKETS[symbol][0] for symbol in chosen}
    held = dict.fromkeys(chosen, Decimal(0))
    sequence = []
    for _ in range(fills):
        symbol = rng.choice(chosen)
        _, tick, step = MARKETS[symbol]
        moved = prices[symbol] * Decimal(rng.randint(900, 1100)) / 1000
        prices[symbol] = max((moved / tick).to_integral_value() * tick, tick)
        quantity = _quantity(rng, held[symbol], prices[symbol], step)
        held[symbol] += quantity
        sequence.append({"symbol": symbol, "quantity": str(quantity), "price": str(prices[symbol])})
    return sequence


def _quantity(rng: random.Random, held: Decimal, price: Decimal, step: Decimal) -> Decimal:
    kind = rng.choice(("add", "reduce", "close", "flip")) if held else "open"
    if kind == "close":
        return -held
    if kind == "reduce":
        return -_on_step(held * rng.randint(1, 99) / 100, step) or -held
    worth = Decimal(rng.randint(5_00, 20_000_00)) / 100
    size = max(_on_step(worth / price, step), step)
    if kind == "flip":
        return -held - (size if held > 0 else -size)
    if kind == "add":
        return size if held > 0 else -size
    return size * rng.choice((1, -1))


def _on_step(quantity: Decimal, step: Decimal) -> Decimal:
    return int(quantity / step) * step


def write_vectors(
    name: str, vectors: Iterable[Mapping[str, Any]], *, oracle: str, version: str, **about: Any
) -> None:
    """Write ``vectors/<name>.json``, one vector a line, headed by what made them and when."""
    head = {
        "kind": name,
        "oracle": oracle,
        "version": version,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        **about,
    }
    lines = ",\n".join(json.dumps(vector, separators=(",", ":")) for vector in vectors)
    text = f'{{"about": {json.dumps(head)},\n"vectors": [\n{lines}\n]}}\n'
    (VECTORS / f"{name}.json").write_text(text, encoding="utf-8")
