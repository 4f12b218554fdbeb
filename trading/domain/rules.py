"""The frozen rules of a book: what every account in it may do, and what it pays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from marketdata.domain.canonical import canonical_json, parse_decimal
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.money import ZERO
from trading.domain.tiers import TierTable, default_table

HUNDRED = Decimal(100)
Choice = TypeVar("Choice", bound=StrEnum)


class MarginModel(StrEnum):
    PERPETUAL = "perpetual"
    CFD = "cfd"


class MarginMode(StrEnum):
    """What backs a ``perpetual`` position: the whole account, or the margin put up for it alone."""

    CROSS = "cross"
    ISOLATED = "isolated"


class StopOutBasis(StrEnum):
    """The value on which a ``cfd`` position's margin is counted: what its open part cost, or what it is worth now."""

    OPEN = "open"
    MARK = "mark"


class FillRule(StrEnum):
    """Which quote an order is filled on; the words are explained in docs/accounting.md."""

    ARRIVAL = "arrival"
    SNAPSHOT = "snapshot"
    NEXT_BAR = "next_bar"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRules:
    """What an account may do and pays.

    Rates ``*_bps`` are hundredths of a percent of notional; ``*_pct`` are percent. ``max_position_size_pct`` bounds one position's
    initial margin over equity, ``max_margin_usage_pct`` all used margin over equity. ``margin_buffer`` multiplies the margin that
    an order must leave room for. ``margin_requirement_pct`` and ``maintenance_margin_pct`` belong to the ``cfd`` model.

    ``acts_between_rounds`` lets the engine liquidate; only then do these count: ``margin_mode`` and ``tiers`` (``perpetual``; a symbol
    without a table has one tier), ``stop_out_basis`` (``cfd``), and ``clearance_fee_bps``, taken of what is liquidated, with a rate
    of its own for the symbols in ``clearance_fees``.

    ``leverage_limits`` bounds the leverage of single symbols below ``max_leverage``. ``max_decisions_per_hour`` bounds in how many turns
    of an hour of market time orders may open or add; None for no bound. ``drawdown_*_pct`` are falls from the highest equity, each None
    or above the one before: to warn, to refuse new exposure, to close everything (only of books that act between rounds).
    ``overnight_bps_*`` is what a ``cfd`` position pays of its notional each night at ``overnight_hour_utc``; negative when it receives.

    Equal rules have equal canonical JSON: symbols are kept sorted, and the fields of the paragraphs above are written only where
    they differ from their default, so that rules from before they were known keep their bytes.
    """

    margin_model: MarginModel = MarginModel.PERPETUAL
    settlement_asset: str = "USDT"
    fee_bps_taker: Decimal = Decimal(5)
    fee_bps_maker: Decimal = Decimal(2)
    slippage_bps: Decimal = Decimal(1)
    max_leverage: int = 10
    default_leverage: int = 1
    max_position_size_pct: Decimal = Decimal(50)
    max_open_positions: int = 5
    max_margin_usage_pct: Decimal = Decimal(90)
    margin_buffer: Decimal = Decimal(1)
    margin_requirement_pct: Decimal = Decimal(10)
    maintenance_margin_pct: Decimal = Decimal(5)
    allow_short: bool = True
    allow_pyramiding: bool = True
    resting_orders: bool = False
    fill_rule: FillRule = FillRule.ARRIVAL
    instruments: tuple[InstrumentSpec, ...] = field(default=())
    acts_between_rounds: bool = False
    margin_mode: MarginMode = MarginMode.CROSS
    stop_out_basis: StopOutBasis = StopOutBasis.MARK
    tiers: tuple[TierTable, ...] = ()
    clearance_fee_bps: Decimal = Decimal(0)
    clearance_fees: tuple[tuple[str, Decimal], ...] = ()
    leverage_limits: tuple[tuple[str, int], ...] = ()
    max_decisions_per_hour: int | None = None
    drawdown_warn_pct: Decimal | None = None
    drawdown_stop_pct: Decimal | None = None
    drawdown_close_pct: Decimal | None = None
    overnight_bps_long: Decimal = Decimal(0)
    overnight_bps_short: Decimal = Decimal(0)
    overnight_hour_utc: int = 21  # 17:00 in New York in summer

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.instruments, key=lambda spec: spec.symbol))
        object.__setattr__(self, "instruments", ordered)
        tables = tuple(sorted(self.tiers, key=lambda table: table.symbol))
        object.__setattr__(self, "tiers", tables)
        object.__setattr__(self, "clearance_fees", tuple(sorted(self.clearance_fees)))
        object.__setattr__(self, "leverage_limits", tuple(sorted(self.leverage_limits)))
        for name, kind in _CHOICES.items():
            object.__setattr__(self, name, _choice(kind, name, self))
        self._check_rates()
        self._check_limits()
        self._check_instruments()
        self._check_margin()
        self._check_symbol_tables()
        self._check_drawdown()

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(spec.symbol for spec in self.instruments)

    def find_spec(self, symbol: str) -> InstrumentSpec | None:
        """Return the limits of ``symbol``, None when the book does not trade it."""
        return next((spec for spec in self.instruments if spec.symbol == symbol), None)

    def spec(self, symbol: str) -> InstrumentSpec:
        """Return the limits of ``symbol``; raise KeyError naming the symbols there are."""
        found = self.find_spec(symbol)
        if found is None:
            raise KeyError(f"the book trades {', '.join(self.symbols)}, not {symbol}")
        return found

    def leverage_limit(self, spec: InstrumentSpec) -> int:
        """Return the highest leverage allowed on the symbol: the lowest of the book's, the instrument's and the symbol's own limit."""
        own = dict(self.leverage_limits).get(spec.symbol, self.max_leverage)
        return min(self.max_leverage, spec.max_leverage, own)

    @property
    def needs_ticks(self) -> bool:
        """Return whether the market acts on accounts between their turns."""
        return self.acts_between_rounds or self.resting_orders or self.has_overnight

    @property
    def has_tiers(self) -> bool:
        """Return whether positions are held against margin tiers."""
        return self.acts_between_rounds and self.margin_model is MarginModel.PERPETUAL

    def tier_table(self, symbol: str) -> TierTable:
        """Return the margin tiers of a symbol; its instrument's single one when the book has no table of it."""
        found = next((table for table in self.tiers if table.symbol == symbol), None)
        return found or default_table(self.spec(symbol))

    def clearance_rate(self, symbol: str) -> Decimal:
        """Return the clearance fee of a symbol, in hundredths of a percent of the notional that is liquidated."""
        return dict(self.clearance_fees).get(symbol, self.clearance_fee_bps)

    @property
    def has_overnight(self) -> bool:
        """Return whether positions pay or receive by the night."""
        rates = self.overnight_bps_long, self.overnight_bps_short
        return self.margin_model is MarginModel.CFD and any(rates)

    @property
    def watches_drawdown(self) -> bool:
        """Return whether an account's highest equity matters to the book."""
        return any(getattr(self, name) is not None for name in _DRAWDOWN)

    @property
    def drawdown_limit_pct(self) -> Decimal | None:
        """Return the drawdown from which nothing may be opened, None when there is none: that of the first tier that acts."""
        if self.drawdown_stop_pct is not None:
            return self.drawdown_stop_pct
        return self.drawdown_close_pct

    def to_json(self) -> str:
        """Return the canonical JSON; equal rules give equal bytes."""
        plain: dict[str, Any] = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name not in _OPTIONAL or getattr(self, entry.name) != entry.default
        }
        for name in _CHOICES.keys() & plain.keys():
            plain[name] = str(plain[name])
        plain["instruments"] = [spec.as_canonical() for spec in self.instruments]
        if self.tiers:
            plain["tiers"] = [table.as_canonical() for table in self.tiers]
        if self.clearance_fees:
            plain["clearance_fees"] = dict(self.clearance_fees)
        if self.leverage_limits:
            plain["leverage_limits"] = dict(self.leverage_limits)
        return canonical_json(plain)

    @classmethod
    @lru_cache(maxsize=64)  # a book's rules never change, and every order asks for them
    def from_json(cls, text: str) -> BookRules:
        """Return the rules written by :meth:`to_json`.

        Raises:
            ValueError: If the text is not a JSON object, or a field is unknown, missing or out of its range.
        """
        plain = json.loads(text)
        names = {entry.name for entry in fields(cls)}
        if not isinstance(plain, dict) or plain.keys() | _OPTIONAL != names:
            found = (
                sorted((plain.keys() | _OPTIONAL) ^ names)
                if isinstance(plain, dict)
                else type(plain).__name__
            )
            raise ValueError(f"rules need exactly the fields of BookRules; differing: {found}")
        for name in (_DECIMALS | {*_DRAWDOWN}) & plain.keys():
            plain[name] = parse_decimal(plain[name])
        plain["instruments"] = tuple(map(InstrumentSpec.from_canonical, plain["instruments"]))
        plain["tiers"] = tuple(map(TierTable.from_canonical, plain.get("tiers", ())))
        fees = plain.get("clearance_fees", {})
        plain["clearance_fees"] = tuple((name, parse_decimal(fees[name])) for name in fees)
        plain["leverage_limits"] = tuple(plain.get("leverage_limits", {}).items())
        return cls(**plain)

    def _check_rates(self) -> None:
        for name in sorted(_DECIMALS):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite():
                raise ValueError(f"{name} must be a finite decimal, was {value!r}")
        for name in ("fee_bps_taker", "slippage_bps", "clearance_fee_bps"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name} must be between 0 and 1000, was {getattr(self, name)}")
        for name in ("fee_bps_maker", "overnight_bps_long", "overnight_bps_short"):
            if not abs(getattr(self, name)) <= 1000:
                raise ValueError(f"{name} must be within +-1000, was {getattr(self, name)}")
        for name in ("max_position_size_pct", "max_margin_usage_pct", "margin_requirement_pct"):
            if not 0 < getattr(self, name) <= HUNDRED:
                raise ValueError(
                    f"{name} must be above 0 and at most 100, was {getattr(self, name)}"
                )
        if not 0 < self.maintenance_margin_pct <= self.margin_requirement_pct:
            raise ValueError(
                "maintenance_margin_pct must be above 0 and at most margin_requirement_pct "
                f"({self.margin_requirement_pct}), was {self.maintenance_margin_pct}"
            )
        if self.margin_buffer < 1:
            raise ValueError(f"margin_buffer must be at least 1, was {self.margin_buffer}")

    def _check_limits(self) -> None:
        if self.max_leverage < 1:
            raise ValueError(f"max_leverage must be at least 1, was {self.max_leverage}")
        if not 1 <= self.default_leverage <= self.max_leverage:
            raise ValueError(
                f"default_leverage must be between 1 and max_leverage ({self.max_leverage}), "
                f"was {self.default_leverage}"
            )
        if self.max_open_positions < 1:
            raise ValueError(
                f"max_open_positions must be at least 1, was {self.max_open_positions}"
            )
        most = self.max_decisions_per_hour
        if most is not None and (type(most) is not int or most < 1):
            raise ValueError(f"max_decisions_per_hour must be at least 1, or None, was {most!r}")
        hour = self.overnight_hour_utc
        if type(hour) is not int or not 0 <= hour <= 23:
            raise ValueError(f"overnight_hour_utc must be between 0 and 23, was {hour!r}")
        if not self.settlement_asset:
            raise ValueError("settlement_asset must name a currency, was empty")

    def _check_instruments(self) -> None:
        if not self.instruments:
            raise ValueError("a book needs at least one instrument, found none")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"each symbol may be listed once, found {', '.join(self.symbols)}")
        for spec in self.instruments:
            if spec.quote_asset != self.settlement_asset:
                raise ValueError(
                    f"{spec.symbol} settles in {spec.quote_asset}, the book in {self.settlement_asset}"
                )
            if spec.tick <= 0 or spec.step <= 0:
                raise ValueError(
                    f"{spec.symbol} needs tick and step above 0, was {spec.tick} and {spec.step}"
                )

    def _check_margin(self) -> None:
        if self.margin_model is MarginModel.CFD and self.margin_mode is MarginMode.ISOLATED:
            raise ValueError("margin_mode must be cross in a cfd book: the whole account backs it")

    def _check_drawdown(self) -> None:
        least = ZERO
        for name in _DRAWDOWN:
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Decimal) or not value.is_finite():
                raise ValueError(f"{name} must be a finite decimal, or None, was {value!r}")
            if not least < value < HUNDRED:
                raise ValueError(f"{name} must be above {least} and below 100, was {value}")
            least = value
        if self.drawdown_close_pct is not None and not self.acts_between_rounds:
            raise ValueError("drawdown_close_pct needs acts_between_rounds: nobody would close")

    def _check_symbol_tables(self) -> None:
        for name, symbols in (
            ("tiers", [table.symbol for table in self.tiers]),
            ("clearance_fees", [symbol for symbol, _ in self.clearance_fees]),
            ("leverage_limits", [symbol for symbol, _ in self.leverage_limits]),
        ):
            if len(set(symbols)) != len(symbols):
                raise ValueError(f"{name} may list each symbol once, found {', '.join(symbols)}")
            if strangers := sorted(set(symbols) - set(self.symbols)):
                raise ValueError(
                    f"{name} must be of the book's symbols ({', '.join(self.symbols)}), "
                    f"found {', '.join(strangers)}"
                )
        for symbol, rate in self.clearance_fees:
            if not isinstance(rate, Decimal) or not rate.is_finite() or not 0 <= rate <= 1000:
                raise ValueError(
                    f"the clearance fee of {symbol} must be between 0 and 1000, was {rate}"
                )
        for symbol, most in self.leverage_limits:
            if type(most) is not int or not 1 <= most <= self.max_leverage:
                raise ValueError(
                    f"the leverage limit of {symbol} must be a whole number between 1 and max_leverage "
                    f"({self.max_leverage}), was {most!r}"
                )


_CHOICES: dict[str, type[StrEnum]] = {
    "margin_model": MarginModel,
    "fill_rule": FillRule,
    "margin_mode": MarginMode,
    "stop_out_basis": StopOutBasis,
}

# Fields that came after books had been stored: a text may lack them.
_OPTIONAL = {
    "acts_between_rounds",
    "margin_mode",
    "stop_out_basis",
    "tiers",
    "clearance_fee_bps",
    "clearance_fees",
    "leverage_limits",
    "max_decisions_per_hour",
    "drawdown_warn_pct",
    "drawdown_stop_pct",
    "drawdown_close_pct",
    "overnight_bps_long",
    "overnight_bps_short",
    "overnight_hour_utc",
}

# Lowest first.
_DRAWDOWN = ("drawdown_warn_pct", "drawdown_stop_pct", "drawdown_close_pct")

_DECIMALS = {
    "fee_bps_taker",
    "fee_bps_maker",
    "slippage_bps",
    "max_position_size_pct",
    "max_margin_usage_pct",
    "margin_buffer",
    "margin_requirement_pct",
    "maintenance_margin_pct",
    "clearance_fee_bps",
    "overnight_bps_long",
    "overnight_bps_short",
}


def _choice(kind: type[Choice], name: str, rules: BookRules) -> Choice:
    value = getattr(rules, name)
    try:
        return kind(value)
    except ValueError:
        raise ValueError(
            f"{name} must be one of {', '.join(item.value for item in kind)}, was {value!r}"
        ) from None
