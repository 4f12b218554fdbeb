"""Verifying finds every change of a stored record and names it, and refuses nothing that is whole."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from agents.models import Decision
from competitions.models import AuditEvent, Competition, Leg, Participant, Round, Turn
from competitions.services import control
from competitions.services.driving import drive
from competitions.services.verifying import verify_season
from marketdata.models import Blob
from tests.builders import (
    Model,
    baselines,
    make_model,
    make_season,
    start_season,
    store_market,
)
from tests.competitions.tampering import tamper, unlocked
from tests.fakes.season_server import SeasonServer
from trading.models import (
    Account,
    Book,
    EquityPoint,
    Fill,
    OperatorAct,
    Order,
    Position,
    Posting,
    Standing,
    TapeSegment,
)

pytestmark = pytest.mark.django_db

SAYER = Model("sayer", "says-what-it-is-told")
# Opens once and asks for too much leverage in each round.
SAID = json.dumps(
    {
        "summary": "One good order and one that breaks a limit.",
        "instructions": [
            {"action": "open_long", "symbol": "BTCUSDT", "margin_fraction": "0.1", "leverage": 2},
            {"action": "open_long", "symbol": "ETHUSDT", "notional": "900", "leverage": 40},
        ],
    }
)


@pytest.fixture
def season() -> Competition:
    """Return a season that was stopped after three rounds; participants 1 to 3 are buy and hold, cash and the sayer."""
    with SeasonServer() as server:
        server.say = SAID
        roster = [*baselines("buy_and_hold", "cash"), make_model(SAYER, server.url)]
        season = start_season(make_season("season", store_market(120 + 40), roster))
        list(drive(season, rounds=3))
    control.stop_competition(season, actor="mara", reason="enough", now=timezone.now())
    season.refresh_from_db()
    return season


def tamper_text(sha256: str, old: str, new: str) -> None:
    """Change a stored text under the name of its old bytes."""
    blob = Blob.objects.get(pk=sha256)
    text = blob.raw().decode()
    assert old in text
    tamper(blob, packed=zlib.compress(text.replace(old, new, 1).encode(), 6))


def problems(season: Competition) -> list[str]:
    season.refresh_from_db()
    return verify_season(season).problems


def test_a_whole_season_agrees(season):
    assert problems(season) == []
    report = verify_season(season)
    # Buy and hold opens three positions, the sayer one in each of three rounds.
    assert (report.rounds, report.turns, report.fills) == (3, 9, 6)
    assert report.digest == season.season_digest
    call_command("verify", "season", verbosity=0)


def test_append_only_rows_cannot_be_changed_without_dropping_triggers(season):
    for model in (Fill, Posting, EquityPoint, TapeSegment, OperatorAct, Blob, AuditEvent):
        names = f'"{model._meta.db_table}" SET "{model._meta.pk.name}" = "{model._meta.pk.name}"'
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE {names}")


# --- one change each ----------------------------------------------------------------------------


def of_sayer() -> Any:
    return Fill.objects.filter(account__ordinal=3).order_by("seq").first()


def fill_price() -> None:
    fill = of_sayer()
    tamper(fill, price=fill.price + Decimal("0.1"))


def fill_quantity() -> None:
    fill = of_sayer()
    tamper(fill, quantity=fill.quantity + Decimal("0.001"))


def fill_fee() -> None:
    fill = of_sayer()
    tamper(fill, fee=fill.fee + Decimal("0.00000001"))


def posting_amount() -> None:
    posting = Posting.objects.filter(fill=of_sayer()).order_by("line").first()
    tamper(posting, amount=posting.amount + Decimal("0.00000001"))


def balanced_postings() -> None:
    """Both sides of a fee, so that the group still sums to zero."""
    for posting, cent in zip(
        Posting.objects.filter(fill=of_sayer(), kind="FEE").order_by("line"),
        (Decimal("0.01"), Decimal("-0.01")),
        strict=True,
    ):
        tamper(posting, amount=posting.amount + cent)


def start_capital() -> None:
    tamper(Posting.objects.get(cause_id="deposit:2", line=1), amount=Decimal(10001))


def deleted_posting() -> None:
    with unlocked(Posting), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM trading_posting WHERE id = %s",
            [Posting.objects.filter(fill=of_sayer()).order_by("line").first().pk],
        )


def equity_point() -> None:
    point = EquityPoint.objects.get(account__ordinal=2, number=2)
    tamper(point, equity=Decimal("10000.00000001"))


def equity_with_wallet() -> None:
    """Equity and wallet alike, so that the point still adds up."""
    point = EquityPoint.objects.get(account__ordinal=2, number=2)
    tamper(point, equity=Decimal(10001), wallet=Decimal(10001))


def leg_denial() -> None:
    leg = Leg.objects.filter(verdict="DENIED").order_by("turn__round__number").first()
    tamper(leg, denial=leg.denial.replace("40", "41"))


def leg_verdict() -> None:
    leg = Leg.objects.filter(verdict="DENIED").order_by("turn__round__number").first()
    tamper(leg, verdict="HELD")


def order_denial() -> None:
    order = Order.objects.filter(status="DENIED").order_by("turn_key").first()
    tamper(order, denial_code="TOO_MANY_POSITIONS")


def order_figures() -> None:
    order = Order.objects.filter(status="DENIED").order_by("turn_key").first()
    tamper(order, denial_context={**order.denial_context, "leverage": "41"})


def order_quantity() -> None:
    order = Order.objects.filter(status="FILLED", account__ordinal=3).order_by("turn_key").first()
    tamper(order, quantity=order.quantity + 1)


def decision_of_sayer() -> Decision:
    found = Turn.objects.filter(participant__ordinal=3, round__number=1).get().decision
    assert found is not None
    return found


def decision_text() -> None:
    tamper_text(decision_of_sayer().text_id, "open_long", "open_lung")


def decision_instructions() -> None:
    decision = decision_of_sayer()
    tamper(decision, instructions=decision.instructions[:1])


def decision_replaced() -> None:
    """The decision of round 1 points to another text, itself whole."""
    other = Blob.objects.put(SAID.replace("0.1", "0.2"))
    tamper(decision_of_sayer(), text_id=other)


def turn_outcome() -> None:
    turn = Turn.objects.get(participant__ordinal=3, round__number=1)
    tamper(turn, outcome="HELD")


def tape_segment() -> None:
    tamper_text(TapeSegment.objects.get(seq=1).body_id, '"BTCUSDT","', '"BTCUSDT","1')


def tape_replaced() -> None:
    """The tape names another text, itself whole."""
    segment = TapeSegment.objects.get(seq=1)
    text = Blob.objects.text(segment.body_id)
    tamper(segment, body_id=Blob.objects.put(text.replace('"BTCUSDT","', '"BTCUSDT","1', 1)))


def snapshot_manifest() -> None:
    snapshot = Round.objects.get(number=2).snapshot
    assert snapshot is not None
    tamper_text(snapshot.manifest_id, '"mark":"', '"mark":"1')


def contract() -> None:
    season = Competition.objects.get()
    tamper(season, contract=season.contract.replace('"seed":1', '"seed":2', 1))


def contract_and_hash() -> None:
    from competitions.domain.contract import contract_hash

    season = Competition.objects.get()
    text = season.contract.replace('"initial_capital":"10000"', '"initial_capital":"20000"', 1)
    assert text != season.contract
    tamper(season, contract=text, contract_hash=contract_hash(text))


def book_rules() -> None:
    book = Book.objects.get()
    assert '"max_leverage":10' in book.rules
    tamper(book, rules=book.rules.replace('"max_leverage":10', '"max_leverage":11', 1))


def roster() -> None:
    tamper(Participant.objects.get(ordinal=2), ordinal=4)


def round_digest() -> None:
    round_ = Round.objects.get(number=2)
    flipped = "0" if round_.digest[0] != "0" else "1"
    tamper(round_, digest=flipped + round_.digest[1:])


def round_slot() -> None:
    round_ = Round.objects.get(number=3)
    tamper(round_, slot_at=round_.slot_at.replace(second=1))


def round_deleted() -> None:
    last = Round.objects.get(number=3)
    Leg.objects.filter(turn__round=last).delete()
    Turn.objects.filter(round=last).delete()
    last.delete()


def season_digest() -> None:
    tamper(Competition.objects.get(), season_digest="0" * 64)


def wallet() -> None:
    account = Account.objects.get(ordinal=2)
    tamper(account, wallet=account.wallet + Decimal("0.01"))


def position_quantity() -> None:
    position = Position.objects.open().filter(account__ordinal=3).get()
    tamper(position, quantity=position.quantity * 2)


def standing() -> None:
    tamper(Standing.objects.get(account__ordinal=2), peak=Decimal(12000))


def audit_actor() -> None:
    tamper(AuditEvent.objects.get(action="stopped"), actor="nobody")


def audit_deleted() -> None:
    with unlocked(AuditEvent), connection.cursor() as cursor:
        cursor.execute("DELETE FROM competitions_auditevent WHERE seq = 1")


CHANGES: dict[Callable[[], None], str] = {
    fill_price: "round 1: turns 3, fills 1, price: stored",
    fill_quantity: "round 1: turns 3, fills 1, quantity: stored",
    fill_fee: "round 1: turns 3, fills 1, fee: stored",
    posting_amount: "round 1: turns 3, postings 1, amount: stored",
    balanced_postings: "round 1: turns 3, postings 1, amount: stored",
    start_capital: "posting deposit:2/1: amount stored",
    deleted_posting: "round 1: turns 3, postings",
    equity_point: "round 2: equity 2, equity: stored 10000.00000001, recomputed 10000",
    equity_with_wallet: "round 2: equity 2, equity: stored 10001.00000000, recomputed 10000",
    leg_denial: "round 1: turns 3, legs 2, denial: stored LEVERAGE_ABOVE_LIMIT",
    leg_verdict: "round 1: turns 3, legs 2, verdict: stored HELD, recomputed DENIED",
    order_denial: "-1-3-2: refused as TOO_MANY_POSITIONS",
    order_figures: "-1-3-2: refused as LEVERAGE_ABOVE_LIMIT",
    order_quantity: "-1-3-1: of 1.0",
    decision_text: "was changed, it does not hash to its name",
    decision_instructions: "round 1: turns 3, instructions: stored 1, recomputed 2",
    decision_replaced: "round 1: turns 3, instructions 1",
    turn_outcome: "round 1: turns 3, outcome: stored HELD, recomputed TRADED",
    tape_segment: "was changed, it does not hash to its name",
    tape_replaced: "round 1: the tape holds other quotes than the snapshot",
    snapshot_manifest: "was changed, it does not hash to its name",
    contract: "the contract's text does not hash to",
    contract_and_hash: "posting deposit:1/0: amount stored",
    book_rules: "the book's rules are not those of the contract",
    roster: "the roster is [1, 3, 4], the contract's is [1, 2, 3]",
    round_digest: "round 2: digest stored",
    round_slot: "round 3: digest stored",
    round_deleted: "round 3 is missing: the season counts 3",
    season_digest: "the season digest is stored as 0000000000000000, recomputed",
    wallet: "account 2: wallet stored 10000.01000000, recomputed 10000",
    position_quantity: "position 3/1: quantity stored",
    standing: "standing 2: peak 12000",
    audit_actor: "was changed: its hash is",
    audit_deleted: "audit entry 1 is missing, found 2",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_found_and_named(season, change):
    change()

    found = problems(season)

    assert any(CHANGES[change] in problem for problem in found), found


def test_the_command_fails_and_tells_each_difference(season, capsys):
    fill_price()

    with pytest.raises(CommandError, match=r"season does not verify: .* differences, the first: "):
        call_command("verify", "season")
    assert "round 1: turns 3, fills 1, price: stored" in capsys.readouterr().err


def test_the_command_refuses_what_has_not_started():
    make_season("draft", store_market(120), baselines("cash"))
    with pytest.raises(CommandError, match="draft has not started, there is nothing to verify"):
        call_command("verify", "draft")
    with pytest.raises(CommandError, match="there is no competition 'nowhere'"):
        call_command("verify", "nowhere")


# --- an emergency close -------------------------------------------------------------------------


@pytest.fixture
def closed_season() -> Competition:
    season = start_season(make_season("season", store_market(120 + 40), baselines("buy_and_hold")))
    list(drive(season, rounds=2))
    control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())
    season.refresh_from_db()
    return season


@pytest.mark.django_db(transaction=True)
def test_a_change_of_what_an_emergency_close_did_is_found(closed_season):
    assert problems(closed_season) == []
    act = OperatorAct.objects.exclude(digest="").get()
    fill = Fill.objects.order_by("-seq").first()
    assert fill is not None

    tamper(act, digest="0" * 64)
    assert any("season digest" in problem for problem in problems(closed_season))
    tamper(act, digest=act.digest)
    assert problems(closed_season) == []

    tamper(fill, fee=fill.fee + Decimal("0.01"))
    assert problems(closed_season) != []
    tamper(fill, fee=fill.fee)
    tamper(fill, price=fill.price + Decimal("0.01"))
    assert problems(closed_season) != []
