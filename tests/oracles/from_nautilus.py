"""Netted positions, fees and balances as nautilus_trader's backtest engine keeps them. One or two markets a sequence.

Each fill is a market order on a quote whose bid and ask are the fill's price. The instruments ask for no margin: nautilus divides
maintenance by leverage, and would liquidate or refuse where Binance does not.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import nautilus_trader
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FillModel, MakerTakerFeeModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

from tests.oracles.sequences import FEE_RATES, MARKETS, trading_sequence, write_vectors

SEED = 20260301
COUNT = 200
CAPITAL = 1_000_000
VENUE = Venue("ORACLE")
SECOND = 1_000_000_000


def instrument(symbol: str, fee_rate: str) -> CryptoPerpetual:
    _, tick, step = MARKETS[symbol]
    base = Currency(symbol.removesuffix("USDT"), 8, 0, symbol, CurrencyType.CRYPTO)
    return CryptoPerpetual(
        instrument_id=InstrumentId(Symbol(symbol), VENUE),
        raw_symbol=Symbol(symbol),
        base_currency=base,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=-tick.as_tuple().exponent,
        size_precision=-step.as_tuple().exponent,
        price_increment=Price.from_str(f"{tick:f}"),
        size_increment=Quantity.from_str(f"{step:f}"),
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
        maker_fee=Decimal(fee_rate),
        taker_fee=Decimal(fee_rate),
        ts_event=0,
        ts_init=0,
    )


class Follower(Strategy):
    """Sends the order of each quote and notes the account once it is filled."""

    def __init__(self, fills: list[dict[str, str]], instruments: dict[str, CryptoPerpetual]):
        super().__init__()
        self.fills = list(fills)
        self.instruments = instruments
        self.fees = Decimal(0)
        self.closed: str | None = None
        self.sent: list[CryptoPerpetual] = []
        self.rows: list[dict[str, Any]] = []

    def on_start(self) -> None:
        for traded in self.instruments.values():
            self.subscribe_quote_ticks(traded.id)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        self._note()
        quantity = Decimal(self.fills[len(self.sent)]["quantity"])
        traded = self.instruments[tick.instrument_id.symbol.value]
        order = self.order_factory.market(
            instrument_id=traded.id,
            order_side=OrderSide.BUY if quantity > 0 else OrderSide.SELL,
            quantity=traded.make_qty(abs(quantity)),
        )
        # Filled on this quote, but after this method: noted when the next one comes.
        self.sent.append(traded)
        self.submit_order(order)

    def on_stop(self) -> None:
        self._note()

    def on_order_filled(self, event: Any) -> None:
        # A flip comes as two fills that share the commission.
        self.fees += event.commission.as_decimal()

    def on_position_closed(self, event: Any) -> None:
        self.closed = str(event.realized_pnl.as_decimal())

    def _note(self) -> None:
        if not self.sent:
            return
        traded = self.sent[-1]
        held = self.cache.positions_open(instrument_id=traded.id)
        account = self.portfolio.account(VENUE)
        self.rows.append(
            {
                "quantity": f"{self.portfolio.net_position(traded.id):f}",
                "average": held[0].avg_px_open if held else None,
                "realised": str(held[0].realized_pnl.as_decimal()) if held else None,
                "closed": self.closed,
                "fees": str(self.fees),
                "balance": str(account.balance_total(USDT).as_decimal()),
            }
        )
        self.fees, self.closed = Decimal(0), None


def run(fills: list[dict[str, str]], fee_rate: str) -> list[dict[str, Any]]:
    """Return what nautilus tells after each fill.

    ``realised`` is the open position's so far, ``closed`` that of the position which the fill closed; fees are deducted from both.
    """
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False)
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USDT,
        starting_balances=[Money(CAPITAL, USDT)],
        fill_model=FillModel(),
        fee_model=MakerTakerFeeModel(),
    )
    instruments = {
        symbol: instrument(symbol, fee_rate)
        for symbol in sorted({fill["symbol"] for fill in fills})
    }
    for traded in instruments.values():
        engine.add_instrument(traded)
    engine.add_data([_quote(instruments, number, fill) for number, fill in enumerate(fills)])
    follower = Follower(fills, instruments)
    engine.add_strategy(follower)
    engine.run()
    engine.dispose()
    if len(follower.rows) != len(fills):
        raise RuntimeError(f"{len(fills)} fills were wanted, nautilus made {len(follower.rows)}")
    return follower.rows


def _quote(instruments: dict[str, CryptoPerpetual], number: int, fill: dict[str, str]) -> QuoteTick:
    traded = instruments[fill["symbol"]]
    price = traded.make_price(Decimal(fill["price"]))
    plenty = traded.make_qty(Decimal(10_000_000))
    stamp = (number + 1) * SECOND
    return QuoteTick(traded.id, price, price, plenty, plenty, stamp, stamp)


def main() -> None:
    rng = random.Random(SEED)
    vectors = []
    for _ in range(COUNT):
        fills = trading_sequence(rng, symbols=rng.choice((1, 1, 2)), fills=rng.randint(3, 9))
        fee_rate = rng.choice(FEE_RATES)
        vectors.append({"fee_rate": fee_rate, "fills": fills, "expected": run(fills, fee_rate)})
    write_vectors(
        "nautilus_netting",
        vectors,
        oracle="nautilus_trader",
        version=nautilus_trader.__version__,
        seed=SEED,
        capital=str(CAPITAL),
    )


if __name__ == "__main__":
    main()
