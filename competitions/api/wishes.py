"""What writes are asked with; nothing but these fields is taken."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, field_validator

from competitions.models.competitions import OFFERED
from competitions.services.roster import CompetitionWish
from marketdata.domain.canonical import canonical_decimal
from trading.domain.money import MONEY_CAP

SECRET_NAME = re.compile(r"api_?key|secret|password|authorization|credential", re.IGNORECASE)
MAX_PARAMETERS = 20


def _without_controls(text: str) -> str:
    """Refuse what no database column keeps: control characters and halves of characters."""
    for character in text:
        if character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cs"}:
            raise ValueError(f"must have no control characters, had U+{ord(character):04X}")
    return text


Text = Annotated[str, AfterValidator(_without_controls)]
Name = Annotated[
    str, Field(min_length=1, max_length=80, pattern=r"\S"), AfterValidator(_without_controls)
]
Percent = Annotated[Decimal, Field(gt=0, le=100, max_digits=20)]
BasisPoints = Annotated[Decimal, Field(ge=0, le=1000, max_digits=20)]
SignedBasisPoints = Annotated[Decimal, Field(ge=-1000, le=1000, max_digits=20)]
Drawdown = Annotated[Decimal, Field(gt=0, lt=100, max_digits=20)]


class CompetitionIn(Schema):
    """A competition to make; of what is left out, the arena's defaults hold.

    Percentages are in percent. Without ``symbols`` every enabled instrument of the classes is traded.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Text, Field(min_length=1, max_length=120, pattern=r"\S")]
    description: Annotated[Text, Field(max_length=4000)] = ""
    start_time: AwareDatetime | None = None
    end_time: AwareDatetime | None = None
    invocation_interval_minutes: Annotated[int, Field(ge=1, le=7 * 24 * 60)] = 15
    initial_capital: Annotated[Decimal, Field(gt=0, le=MONEY_CAP, decimal_places=8)] = Decimal(
        10000
    )
    max_leverage: Annotated[Decimal, Field(ge=1, le=150, multiple_of=1)] = Decimal(10)
    max_position_size_pct: Percent = Decimal(30)
    allowed_asset_classes: Annotated[list[Text], Field(min_length=1, max_length=10)] = ["crypto"]
    margin_requirement_pct: Percent = Decimal(10)
    maintenance_margin_pct: Percent = Decimal(5)
    max_participants: Annotated[int, Field(ge=1, le=1000)] | None = None
    market_hours_only: Literal[False] = Field(
        False, description="Markets here are open around the clock."
    )
    slug: Annotated[str, Field(max_length=80, pattern=r"^[-a-zA-Z0-9_]*$")] = ""
    feed: Annotated[Text, Field(max_length=64)] = ""
    symbols: Annotated[list[Text], Field(max_length=200)] = []
    timeframes: Annotated[list[Text], Field(min_length=1, max_length=6)] | None = None
    margin_model: Literal["cfd", "perpetual"] = "cfd"
    visibility: Literal["PUBLIC", "UNLISTED", "PRIVATE"] = "PUBLIC"
    max_rounds: Annotated[int, Field(ge=1, le=10**6)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=24 * 3600)] = 60
    fee_bps_taker: BasisPoints = Decimal(5)
    slippage_bps: BasisPoints = Decimal(1)
    allow_short: bool = True
    acts_between_rounds: bool = OFFERED["acts_between_rounds"]
    resting_orders: bool = OFFERED["resting_orders"]
    margin_mode: Literal["cross", "isolated"] = "cross"
    stop_out_basis: Literal["open", "mark"] = "mark"
    clearance_fee_bps: BasisPoints = Decimal(0)
    leverage_limits: Annotated[dict[Text, int], Field(max_length=200)] = {}
    max_decisions_per_hour: Annotated[int, Field(ge=1, le=3600)] | None = None
    drawdown_warn_pct: Drawdown | None = None
    drawdown_stop_pct: Drawdown | None = None
    drawdown_close_pct: Drawdown | None = None
    overnight_bps_long: SignedBasisPoints = Decimal(0)
    overnight_bps_short: SignedBasisPoints = Decimal(0)
    overnight_hour_utc: Annotated[int, Field(ge=0, le=23)] = 21
    seed: Annotated[int, Field(ge=0, le=2**62)] = 1

    @field_validator("start_time", "end_time", mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str | datetime):
            raise ValueError('must be a time such as "2026-03-01T00:00:00Z"')
        return value

    def wish(self) -> CompetitionWish:
        """Return it in the arena's words."""
        same = (
            "description",
            "initial_capital",
            "max_position_size_pct",
            "margin_requirement_pct",
            "maintenance_margin_pct",
            "max_participants",
            "margin_model",
            "visibility",
            "max_rounds",
            "deadline_seconds",
            "fee_bps_taker",
            "slippage_bps",
            "allow_short",
            "acts_between_rounds",
            "resting_orders",
            "margin_mode",
            "stop_out_basis",
            "clearance_fee_bps",
            "max_decisions_per_hour",
            "drawdown_warn_pct",
            "drawdown_stop_pct",
            "drawdown_close_pct",
            "overnight_bps_long",
            "overnight_bps_short",
            "overnight_hour_utc",
            "seed",
        )
        fields: dict[str, Any] = {name: getattr(self, name) for name in same}
        fields["starts_at"] = self.start_time.astimezone(UTC) if self.start_time else None
        fields["ends_at"] = self.end_time.astimezone(UTC) if self.end_time else None
        fields["interval_seconds"] = self.invocation_interval_minutes * 60
        fields["max_leverage"] = int(self.max_leverage)
        fields["leverage_limits"] = {
            symbol.upper(): most for symbol, most in self.leverage_limits.items()
        }
        if self.timeframes:
            fields["timeframes"] = self.timeframes
        return CompetitionWish(
            name=self.name.strip(),
            slug=self.slug,
            feed=self.feed,
            symbols=[symbol.upper() for symbol in self.symbols],
            asset_classes=[name.upper() for name in self.allowed_asset_classes],
            fields=fields,
        )


# Where a wish was said in the request, by the arena's word for it.
SAID_AS = {
    "starts_at": "start_time",
    "ends_at": "end_time",
    "interval_seconds": "invocation_interval_minutes",
    "asset_classes": "allowed_asset_classes",
    "provider": "llm_provider",
    "model": "llm_model",
    "parameters": "llm_config",
}

Parameter = str | int | bool | Decimal | None


class ParticipantIn(Schema):
    """Who is to take part; ``llm_config`` are the model's parameters, kept as requested."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    llm_provider: Annotated[Text, Field(min_length=1, max_length=40)]
    llm_model: Annotated[Text, Field(min_length=1, max_length=120)]
    llm_config: Annotated[dict[str, Any], Field(max_length=MAX_PARAMETERS)] = {}
    timeout_seconds: Annotated[int, Field(ge=1, le=900)] = 45

    @field_validator("llm_config")
    @classmethod
    def _kept(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {
            _without_controls(name[:60]): _parameter(name, item) for name, item in value.items()
        }


def _parameter(name: str, value: Any) -> str | int | bool | None:
    """Return a parameter as it is stored: fractions become decimal strings."""
    if SECRET_NAME.search(name):
        # Not shown: it may be the secret itself.
        raise ValueError(
            "keys and passwords are not taken here: set the provider's environment variable"
        )
    if isinstance(value, Decimal):
        return canonical_decimal(value)
    if isinstance(value, str):
        return _without_controls(value[:200])
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    raise ValueError(f"{name[:40]} must be a text, a number, true, false or null")


class ActIn(Schema):
    """Why it is done; the audit log keeps it."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Text, Field(max_length=300)] = ""


class PauseIn(ActIn):
    """A pause: now, or when the running round has closed."""

    after_round: bool = False


class NothingIn(Schema):
    """Nothing: the address says it all; an empty object may be sent."""

    model_config = ConfigDict(extra="forbid")


class InvokeIn(Schema):
    """Whose participants are to be asked: the competition's id or slug; empty for the only public one that runs."""

    model_config = ConfigDict(extra="forbid")

    competition_id: Annotated[Text, Field(max_length=80)] = ""
