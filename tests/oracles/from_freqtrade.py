"""Isolated liquidation prices and funding of Binance perpetuals as freqtrade computes them.

freqtrade looks the tier up by the stake that it is given and never again. It is therefore given the notional, first at the entry, then
at the price that it answered, until the answer stays: the tier that is right at the liquidation price itself.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import freqtrade
import pandas as pd
from freqtrade.enums import MarginMode, RunMode, TradingMode
from freqtrade.exchange.binance import Binance

from tests.oracles.sequences import write_vectors

SEED = 20260303
COUNT = 200
START = datetime(2026, 3, 1, tzinfo=UTC)

# Maintenance tiers as the venue published them: floor, rate, highest leverage, cum.
TIERS: dict[str, list[tuple[str, str, int, str]]] = {
    "BTCUSDT": [
        ("0", "0.004", 150, "0"),
        ("300000", "0.005", 100, "300"),
        ("800000", "0.0065", 75, "1500"),
        ("3000000", "0.01", 50, "12000"),
        ("12000000", "0.02", 25, "132000"),
    ],
    "DOGEUSDT": [
        ("0", "0.0065", 75, "0"),
        ("80000", "0.01", 50, "280"),
        ("150000", "0.0125", 40, "655"),
    ],
}
MARKETS = {"BTCUSDT": (60000, 1, 3), "DOGEUSDT": (0.2, 5, 0)}


class PaperBinance(Binance):
    """The exchange without a connection: only its arithmetic is wanted."""

    def __init__(self) -> None:
        self.margin_mode = MarginMode.ISOLATED
        self.trading_mode = TradingMode.FUTURES
        self._config = {"runmode": RunMode.BACKTEST}
        self._leverage_tiers = {
            symbol: [
                self.parse_leverage_tier(
                    {
                        "minNotional": float(floor),
                        "maxNotional": None,
                        "maintenanceMarginRate": float(rate),
                        "maxLeverage": leverage,
                        "info": {"cum": cum},
                    }
                )
                for floor, rate, leverage, cum in tiers
            ]
            for symbol, tiers in TIERS.items()
        }

    def close(self) -> None:
        """Close nothing: there is no connection."""

    def __del__(self) -> None:
        """Leave nothing behind."""


def liquidation_price(exchange: PaperBinance, case: dict[str, Any]) -> tuple[float, float]:
    """Return freqtrade's price with the tier at the entry, and with the tier at the price itself; the latter is nan if it never settles."""
    quantity, entry = float(case["quantity"]), float(case["entry"])
    answers = [entry]
    while len(answers) < 20:
        answers.append(
            exchange.dry_run_liquidation_price(
                pair=case["symbol"],
                open_rate=entry,
                is_short=case["is_short"],
                amount=quantity,
                stake_amount=max(quantity * answers[-1], 0.0),
                leverage=float(case["leverage"]),
                wallet_balance=float(case["wallet"]),
                open_trades=[],
            )
        )
        if len(answers) > 2 and answers[-1] == answers[-2]:
            return answers[1], answers[-1]
    return answers[1], float("nan")


def liquidation_case(rng: random.Random) -> dict[str, Any]:
    symbol = rng.choice(sorted(MARKETS))
    around, price_digits, quantity_digits = MARKETS[symbol]
    entry = round(around * rng.uniform(0.5, 1.5), price_digits)
    worth = 10 ** rng.uniform(1.5, 6.9 if symbol == "BTCUSDT" else 5.6)
    near_a_floor = rng.random() < 0.5
    if near_a_floor:
        worth = float(rng.choice(TIERS[symbol][1:])[0]) * rng.uniform(0.85, 1.15)
    quantity = max(round(worth / entry, quantity_digits), 10**-quantity_digits)
    most = _most_leverage(symbol, quantity * entry)
    leverage = rng.randint(2, 8) if near_a_floor else rng.randint(1, most)
    # The isolated wallet: the initial margin, less a fee or with some added.
    wallet = round(quantity * entry / leverage * rng.uniform(0.97, 1.3), 8)
    return {
        "symbol": symbol,
        "is_short": rng.random() < 0.5,
        "quantity": f"{quantity:.{quantity_digits}f}",
        "entry": f"{entry:.{price_digits}f}",
        "leverage": leverage,
        "wallet": f"{wallet:.8f}",
    }


def _most_leverage(symbol: str, notional: float) -> int:
    return next(tier[2] for tier in reversed(TIERS[symbol]) if notional >= float(tier[0]))


def liquidation_vectors(exchange: PaperBinance) -> list[dict[str, Any]]:
    rng = random.Random(SEED)
    vectors: list[dict[str, Any]] = []
    while len(vectors) < COUNT:
        case = liquidation_case(rng)
        at_entry, settled = liquidation_price(exchange, case)
        if settled == settled:  # no nan: the tiers are settled
            vectors.append({**case, "expected": {"price": settled, "tier_at_entry": at_entry}})
    return vectors


def funding_vectors(exchange: PaperBinance) -> list[dict[str, Any]]:
    """Return sums of funding over stamps eight hours apart; positions open and close on, before and after stamps."""
    rng = random.Random(SEED + 1)
    vectors = []
    for _ in range(COUNT):
        symbol = rng.choice(sorted(MARKETS))
        around, price_digits, quantity_digits = MARKETS[symbol]
        stamps = [
            {
                "at": START + timedelta(hours=8 * number),
                "rate": f"{rng.randint(-75_000, 75_000) / 1e8:.8f}",
                "mark": f"{around * rng.uniform(0.8, 1.2):.{price_digits}f}",
            }
            for number in range(rng.randint(1, 9))
        ]
        frame = exchange._add_funding_columns(
            pd.DataFrame(
                {
                    "date": pd.to_datetime([stamp["at"] for stamp in stamps]),
                    "open_fund": [float(stamp["rate"]) for stamp in stamps],
                    "open_mark": [float(stamp["mark"]) for stamp in stamps],
                }
            )
        )
        opened = START + timedelta(minutes=rng.choice((-1, 0, 1, 240, 480, 481)))
        closed = opened + timedelta(minutes=rng.choice((1, 240, 480, 1439, 1440, 3000)))
        quantity = f"{10 ** rng.uniform(-1, 4):.{quantity_digits}f}"
        is_short = rng.random() < 0.5
        paid = exchange.calculate_funding_fees(frame, float(quantity), is_short, opened, closed)
        vectors.append(
            {
                "quantity": quantity,
                "is_short": is_short,
                "opened": opened.isoformat(),
                "closed": closed.isoformat(),
                "stamps": [{**stamp, "at": stamp["at"].isoformat()} for stamp in stamps],
                "expected": {"received": float(paid)},
            }
        )
    return vectors


def main() -> None:
    exchange = PaperBinance()
    about = {"oracle": "freqtrade", "version": freqtrade.__version__, "seed": SEED}
    write_vectors("freqtrade_liquidation", liquidation_vectors(exchange), tiers=TIERS, **about)
    write_vectors("freqtrade_funding", funding_vectors(exchange), **about)


if __name__ == "__main__":
    main()
