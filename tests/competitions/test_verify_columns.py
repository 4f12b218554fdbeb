"""Every column of every covered table, changed by itself, is named by verifying; one that is not covered is listed with a reason.

A column that is added later and forgotten fails here: somebody must cover it or say why not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, connection, models, transaction
from django.utils import timezone

from agents.models import Completion, Decision
from competitions.models import (
    AuditEvent,
    Competition,
    Gap,
    Leg,
    Participant,
    Round,
    Turn,
)
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import control
from competitions.services.driving import drive
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.turns import play_turns
from competitions.services.verifying import verify_season
from competitions.services.verifying.columns import COVERED, ROW_ID, UNCOVERED
from marketdata.models import Blob, Feed, MarketSnapshot
from tests.builders import (
    STARTS_AT,
    SYMBOLS,
    Model,
    baselines,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
)
from tests.competitions.tampering import tamper
from tests.fakes.season_server import SeasonServer
from trading.models import (
    Account,
    Book,
    EquityPoint,
    EquityRollup,
    Fill,
    OperatorAct,
    Order,
    Position,
    Posting,
    Standing,
    TapeSegment,
)

SLUG = "season"
SAYER = Model("sayer", "says-what-it-is-told")


@dataclass(frozen=True, slots=True)
class Table:
    """How the rows of a table are found and told: by natural key, never by the ids that a database gave them.

    ``of`` narrows the table to the season; ``key`` orders it; ``name`` is what a problem calls the row.
    """

    of: dict[str, Any]
    key: tuple[str, ...]
    name: Callable[[Any], str]


BOOK = {"book__competition__slug": SLUG}
ACCOUNT = {"account__book__competition__slug": SLUG}
TABLES: dict[type[models.Model], Table] = {
    Book: Table({"competition__slug": SLUG}, (), lambda row: "book"),
    TapeSegment: Table(BOOK, ("seq",), lambda row: f"tape segment {row.seq}"),
    OperatorAct: Table(BOOK, ("seq",), lambda row: f"act {row.seq}"),
    Account: Table(BOOK, ("ordinal",), lambda row: f"account {row.ordinal}"),
    Order: Table(ACCOUNT, ("client_order_id",), lambda row: f"order {row.client_order_id}"),
    Fill: Table(
        ACCOUNT, ("account__ordinal", "seq"), lambda row: f"fill {row.account.ordinal}/{row.seq}"
    ),
    Posting: Table(BOOK, ("cause_id", "line"), lambda row: f"posting {row.cause_id}/{row.line}"),
    Position: Table(
        ACCOUNT,
        ("account__ordinal", "seq"),
        lambda row: f"position {row.account.ordinal}/{row.seq}",
    ),
    EquityPoint: Table(
        ACCOUNT,
        ("account__ordinal", "number"),
        lambda row: f"equity point {row.account.ordinal}/{row.number}",
    ),
    EquityRollup: Table(
        ACCOUNT,
        ("account__ordinal", "span", "start_at"),
        lambda row: f"rollup {row.account.ordinal} {row.span} {row.start_at:%Y-%m-%dT%H:%M}",
    ),
    Standing: Table(ACCOUNT, ("account__ordinal",), lambda row: f"standing {row.account.ordinal}"),
    Competition: Table({"slug": SLUG}, (), lambda row: f"season {row.slug}"),
    Participant: Table(
        {"competition__slug": SLUG}, ("ordinal",), lambda row: f"participant {row.ordinal}"
    ),
    MarketSnapshot: Table(
        {"rounds__competition__slug": SLUG},
        ("as_of",),
        lambda row: f"snapshot {row.rounds.get().number}",
    ),
    Round: Table({"competition__slug": SLUG}, ("number",), lambda row: f"round {row.number}"),
    Turn: Table(
        {"round__competition__slug": SLUG},
        ("round__number", "participant__ordinal"),
        lambda row: f"turn {row.turn_key}",
    ),
    Leg: Table(
        {"turn__round__competition__slug": SLUG},
        ("turn__round__number", "turn__participant__ordinal", "index"),
        lambda row: f"leg {row.turn.turn_key}/{row.index}",
    ),
    Gap: Table(
        {"competition__slug": SLUG},
        ("from_at",),
        lambda row: f"gap {row.from_at:%Y-%m-%dT%H:%M:%S}",
    ),
    Decision: Table(
        {"turns__round__competition__slug": SLUG},
        ("turns__round__number", "turns__participant__ordinal"),
        lambda row: f"decision {row.turn_key}",
    ),
    Completion: Table(
        {"decisions__turns__round__competition__slug": SLUG},
        ("decisions__turns__round__number", "decisions__turns__participant__ordinal"),
        lambda row: f"completion {row.turn_key} try {row.attempt}",
    ),
    # The first segment of the season's tape: a hash that is the same each time.
    Blob: Table({}, ("sha256",), lambda row: f"the text {row.sha256[:16]}"),
    AuditEvent: Table({}, ("seq",), lambda row: f"audit entry {row.seq}"),
}

# The database itself lets no single change of these through.
GUARDED = {(Turn, "state")}

# Opens in BTC, adds a stop, asks for too much leverage in ETH.
SAID = """{"summary": "One good order and one that breaks a limit.", "instructions": [
 {"action": "open_long", "symbol": "BTCUSDT", "margin_fraction": "0.1", "leverage": 2, "stop_loss": "1"},
 {"action": "open_long", "symbol": "ETHUSDT", "notional": "900", "leverage": 40},
 {"action": "hold", "symbol": "ETHUSDT"}]}"""


@pytest.fixture(scope="module")
def seasons(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Play a season that ends with an emergency close, and beside it one with a gap and a book of nobody's; once for all tests."""
    with django_db_blocker.unblock():
        outer = transaction.atomic()
        # As around every test: what lies inside is not seen as a transaction of the arena's.
        outer._from_testcase = True  # type: ignore[attr-defined]
        with outer:
            _play_season()
            _play_other()
            _make_spares()
            yield
            transaction.set_rollback(True)


def _play_season() -> None:
    with SeasonServer() as server:
        server.say = SAID
        roster = [*baselines("random"), make_model(SAYER, server.url)]
        feed = store_market(120 + 40, symbols=SYMBOLS[:2])
        draft = make_season(
            SLUG,
            feed,
            roster,
            symbols=SYMBOLS[:2],
            acts_between_rounds=True,
            resting_orders=True,
        )
        season = start_season(draft)
        list(drive(season, rounds=2))
        control.pause_competition(
            season, actor="mara", reason="tea", after_round=False, now=timezone.now()
        )
        control.resume_competition(season, actor="mara", now=timezone.now())
        list(drive(season, rounds=1))
    control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())


def _play_other() -> None:
    """On the wall clock: a round, nine slots that were missed, another round."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    other = make_season(
        "other",
        make_synthetic_feed(),
        baselines("buy_and_hold", "cash"),
        symbols=SYMBOLS[:2],
        clock=ClockKind.WALL,
        fill_rule=FillRule.SNAPSHOT,
        interval_seconds=60,
        deadline_seconds=60,
        starts_at=hour,
        max_rounds=50,
    )
    start_season(other)
    for minutes in (0, 10):
        now = hour + timedelta(minutes=minutes, seconds=1)
        round_ = open_due_round(other.pk, now=now)
        assert round_ is not None
        play_turns(round_.pk, prepare_round(round_.pk, now=now))


def _make_spares() -> None:
    """Make a draft, and a book that no season has, with an account that nobody sits on and nothing is known of."""
    make_season("spare", Feed.objects.get(slug="synthetic-7"), [])
    spare = Book.objects.create(
        rules=Book.objects.get(competition__slug=SLUG).rules, created_at=timezone.now()
    )
    Account.objects.create(book=spare, ordinal=1)


# --- one other value for a column ---------------------------------------------------------------


def others(row: models.Model, field: models.Field[Any, Any]) -> Iterator[Any]:
    """Yield values that the column may be changed to, in an order that is the same each time."""
    value = getattr(row, field.attname)
    if field.is_relation:
        assert field.related_model is not None
        yield from (key for key in keys_of(field.related_model) if key != value)
    elif field.choices:
        yield from (choice for choice, _ in field.choices if choice != value)
    elif isinstance(field, models.BooleanField):
        yield not value
    elif isinstance(field, models.BinaryField):
        yield zlib.compress(zlib.decompress(bytes(value)) + b" ", 6)
    elif isinstance(field, models.JSONField):
        yield [*value, "more"] if isinstance(value, list) else {**value, "more": "1"}
    elif isinstance(field, models.DateTimeField):
        yield (value or STARTS_AT) + timedelta(seconds=1)
    elif isinstance(field, models.IntegerField):
        yield (value or 0) + 1
    elif isinstance(field, models.CharField | models.TextField):
        yield f"{value}x"[-(field.max_length or 10**6) :]
    elif isinstance(value, Decimal | None):
        yield (value or Decimal(0)) + Decimal("0.00000001")
    else:
        raise AssertionError(f"how is {field} changed?")


def keys_of(model: Any) -> Iterator[Any]:
    """Yield the ids of a table's rows in an order that does not follow from ids."""
    if model is Blob:
        yield from TapeSegment.objects.filter(**BOOK).order_by("seq").values_list("body", flat=True)
    elif model in TABLES:
        table = TABLES[model]
        order = (*table.of, *table.key)
        rows = model._default_manager.values_list("pk", *order)
        yield from (pk for pk, *_ in sorted(rows, key=lambda row: [str(part) for part in row[1:]]))
    else:
        yield from model._default_manager.order_by(
            "username" if model is User else "slug"
        ).values_list("pk", flat=True)


def rows_of(model: type[models.Model], slug: str) -> list[Any]:
    """Return the season's rows of a table by natural key."""
    table = TABLES[model]
    rows = model._default_manager.all()
    if model is Blob:
        return [TapeSegment.objects.get(seq=1, **BOOK).body]
    of = dict.fromkeys(table.of, slug)
    return list(rows.filter(**of).order_by(*table.key))


def change_one(model: type[models.Model], field: models.Field[Any, Any], slug: str) -> str:
    """Change the column of the first row that the database lets be changed; return how the row was called before."""
    for row in rows_of(model, slug):
        name = TABLES[model].name(row)
        for value in others(row, field):
            try:
                with transaction.atomic():
                    tamper(row, **{field.attname: value})
                    if connection.vendor == "sqlite":
                        connection.check_constraints([model._meta.db_table])
            except (IntegrityError, DataError):
                continue
            return name
    raise AssertionError(f"no row of {model.__name__} lets its {field.name} be changed")


def columns() -> Iterator[Any]:
    for model in COVERED:
        for field in model._meta.concrete_fields:
            if (model, field.name) not in UNCOVERED.keys() | GUARDED:
                yield pytest.param(model, field, id=f"{model.__name__}.{field.name}")


@pytest.mark.django_db
@pytest.mark.usefixtures("seasons")
@pytest.mark.parametrize(("model", "field"), list(columns()))
def test_a_changed_column_is_named_with_its_row(model, field):
    # Only the wall clock misses slots.
    slug = "other" if model is Gap else SLUG
    name = change_one(model, field, slug)

    problems = verify_season(Competition.objects.get(slug=slug_now(slug))).problems

    assert any(f"{name}:" in problem or f"{name} " in problem for problem in problems), (
        name,
        problems,
    )


@pytest.mark.django_db
@pytest.mark.usefixtures("seasons")
def test_what_is_said_to_be_guarded_by_the_database_is():
    for model, name in GUARDED:
        with pytest.raises(AssertionError, match="lets its"):
            change_one(model, model._meta.get_field(name), SLUG)


def slug_now(slug: str) -> str:
    """Return the season's address, which may be what was changed."""
    return slug if Competition.objects.filter(slug=slug).exists() else f"{slug}x"


@pytest.mark.django_db
@pytest.mark.usefixtures("seasons")
@pytest.mark.parametrize("slug", [SLUG, "other"])
def test_unchanged_seasons_agree(slug):
    assert verify_season(Competition.objects.get(slug=slug)).problems == []


def test_every_table_of_a_season_is_covered_and_every_exception_is_of_a_column_that_there_is():
    known = {(model, field.name) for model in COVERED for field in model._meta.concrete_fields}
    assert set(UNCOVERED) <= known
    assert set(TABLES) == set(COVERED)
    assert all(reason.strip() for reason in UNCOVERED.values())


def test_the_handbook_lists_what_is_not_covered_with_the_reason():
    text = (Path(__file__).resolve().parents[2] / "docs" / "accounting.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for (model, column), reason in UNCOVERED.items():
        if reason != ROW_ID:
            told = [row for row in rows if row.startswith(f"| `{model.__name__}` |")]
            assert any(f"`{column}`" in row and row.endswith(f"| {reason} |") for row in told), (
                model,
                column,
            )
