"""Prices and quantities put on tick and step as ccxt does it before it sends them."""

from __future__ import annotations

import random

import ccxt
from ccxt.base.decimal_to_precision import ROUND, TICK_SIZE, TRUNCATE, decimal_to_precision

from tests.oracles.sequences import write_vectors

SEED = 20260304
COUNT = 300
UNITS = ("0.1", "0.01", "0.05", "0.5", "0.001", "0.00001", "0.0000001", "1", "5", "1000")


def main() -> None:
    rng = random.Random(SEED)
    vectors = []
    for _ in range(COUNT):
        unit = rng.choice(UNITS)
        digits = rng.randint(0, 10)
        # Half of them on or just beside the middle between two units, where rounding is decided.
        steps = rng.randint(0, 20_000) / (2 if rng.random() < 0.5 else 7)
        value = f"{float(unit) * steps:.{digits}f}"
        vectors.append(
            {
                "unit": unit,
                "value": value,
                "expected": {
                    "down": decimal_to_precision(value, TRUNCATE, float(unit), TICK_SIZE),
                    "nearest": decimal_to_precision(value, ROUND, float(unit), TICK_SIZE),
                },
            }
        )
    write_vectors("ccxt_rounding", vectors, oracle="ccxt", version=ccxt.__version__, seed=SEED)


if __name__ == "__main__":
    main()
