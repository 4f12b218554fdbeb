"""Cash, holdings, value and closed positions as vectorbt's ``Portfolio.from_orders`` keeps them. One market a sequence."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import vectorbt

from tests.oracles.sequences import FEE_RATES, trading_sequence, write_vectors

SEED = 20260302
COUNT = 200
# vectorbt has no leverage: enough cash that no order is cut short.
CAPITAL = 10_000_000


def run(fills: list[dict[str, str]], fee_rate: str) -> dict[str, Any]:
    """Return what vectorbt makes of the fills; each is an order at its own price."""
    prices = pd.Series([float(fill["price"]) for fill in fills])
    portfolio = vectorbt.Portfolio.from_orders(
        prices,
        size=pd.Series([float(fill["quantity"]) for fill in fills]),
        price=prices,
        fees=float(fee_rate),
        init_cash=float(CAPITAL),
        direction="both",
        raise_reject=True,
    )
    closed = portfolio.positions.records.query("status == 1")
    return {
        "cash": portfolio.cash().tolist(),
        "quantity": np.asarray(portfolio.assets()).tolist(),
        "value": portfolio.value().tolist(),
        "closed": closed[["entry_price", "exit_price", "pnl"]].to_numpy().tolist(),
    }


def main() -> None:
    rng = random.Random(SEED)
    vectors = []
    for _ in range(COUNT):
        fills = trading_sequence(rng, symbols=1, fills=rng.randint(3, 10))
        fee_rate = rng.choice(FEE_RATES)
        vectors.append({"fee_rate": fee_rate, "fills": fills, "expected": run(fills, fee_rate)})
    write_vectors(
        "vectorbt_orders",
        vectors,
        oracle="vectorbt",
        version=vectorbt.__version__,
        seed=SEED,
        capital=str(CAPITAL),
    )


if __name__ == "__main__":
    main()
