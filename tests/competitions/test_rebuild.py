"""Rebuilding makes wallets, positions, standings, rollups and counters anew from the records, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from competitions.models import AuditEvent, Competition, Round
from competitions.services import control
from competitions.services.driving import drive
from competitions.services.errors import ControlError
from competitions.services.rebuilding import rebuild_season
from competitions.services.rounds import open_due_round
from competitions.services.verifying import verify_season
from tests.builders import baselines, make_season, start_season, store_market
from tests.competitions.tampering import tamper
from trading.models import Account, Book, EquityRollup, Fill, Position, Standing

pytestmark = pytest.mark.django_db


@pytest.fixture
def season() -> Competition:
    """Return a running season after two rounds: buy and hold is participant 1, random 2."""
    roster = baselines("buy_and_hold", "random")
    season = start_season(make_season("season", store_market(120 + 40), roster))
    list(drive(season, rounds=2))
    season.refresh_from_db()
    return season


def wallet() -> None:
    account = Account.objects.get(ordinal=1)
    tamper(account, wallet=account.wallet + Decimal("0.01"))


def position_changed() -> None:
    position = Position.objects.filter(account__ordinal=1).order_by("seq").first()
    assert position is not None
    tamper(position, quantity=position.quantity * 2, stop_loss=Decimal(1))


def position_lost() -> None:
    Position.objects.filter(account__ordinal=1, seq=1).delete()


def position_invented() -> None:
    Position.objects.create(
        account=Account.objects.get(ordinal=1),
        symbol="DOGEUSDT",
        seq=99,
        is_long=True,
        quantity=Decimal(1),
        entry_cost=Decimal(1),
        leverage=1,
        entered_quantity=Decimal(1),
        entered_cost=Decimal(1),
        opened_at=timezone.now(),
    )


def standing() -> None:
    tamper(Standing.objects.get(account__ordinal=2), peak=Decimal(12000), denials=7)


def standing_lost() -> None:
    Standing.objects.get(account__ordinal=2).delete()


def rollup() -> None:
    row = EquityRollup.objects.filter(account__ordinal=1, span="HOUR").order_by("start_at").first()
    assert row is not None
    tamper(row, low=Decimal(1))


def rollup_lost() -> None:
    EquityRollup.objects.filter(account__ordinal=1, span="DAY").delete()


def rollup_invented() -> None:
    row = EquityRollup.objects.filter(account__ordinal=1, span="HOUR").order_by("start_at").first()
    assert row is not None
    row.pk, row.start_at = None, row.start_at - timedelta(days=1)
    row.save(force_insert=True)


def season_counters() -> None:
    season = Competition.objects.get()
    tamper(season, round_count=7, extra_count=1, event_seq=1, market_at=season.starts_at)


def tape_counters() -> None:
    tamper(Book.objects.get(), tape_position=1, tape_segments=1)


SPOILED: dict[Callable[[], None], str] = {
    wallet: "account 1: wallet stored ",
    position_changed: "position 1/1: quantity stored ",
    position_lost: "position 1/1 is missing",
    position_invented: "position 1/99 is there, and nothing that was recomputed makes it",
    standing: "standing 2: peak stored 12000.00000000, recomputed ",
    standing_lost: "standing 2 is missing",
    rollup: "rollup 1 HOUR 2026-03-02T12:00: low stored 1.00000000, recomputed ",
    rollup_lost: "rollup 1 DAY 2026-03-02T00:00 is missing",
    rollup_invented: "rollup 1 HOUR 2026-03-01T12:00 is there, and nothing that was recomputed",
    season_counters: "season season: round_count stored 7, recomputed 2",
    tape_counters: "book: tape_segments stored 1, recomputed 2",
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_projection_is_told_and_made_anew(season, spoil):
    assert verify_season(season).problems == []
    spoil()
    assert verify_season(season).problems != []

    checked = rebuild_season(season, actor="mara", now=timezone.now(), is_check=True)
    assert not checked.is_written
    assert any(change.startswith(SPOILED[spoil]) for change in checked.changes), checked.changes
    assert verify_season(season).problems != []

    written = rebuild_season(season, actor="mara", now=timezone.now())
    assert (written.is_written, written.changes) == (True, checked.changes)
    assert verify_season(season).problems == []
    act = AuditEvent.objects.order_by("-seq")[0]
    assert (act.action, act.actor, act.subject) == ("rebuilt", "mara", "season")
    assert act.detail == {"changes": str(len(written.changes))}


def test_a_whole_season_is_left_as_it_is(season):
    acts = AuditEvent.objects.count()

    rebuilt = rebuild_season(season, actor="mara", now=timezone.now())

    assert (rebuilt.changes, rebuilt.is_written) == ((), False)
    assert AuditEvent.objects.count() == acts


def test_a_rebuilt_season_goes_on_to_the_same_digest(season):
    for spoil in (position_changed, standing_lost, rollup_lost, wallet):
        spoil()
    rebuild_season(season, actor="mara", now=timezone.now())

    list(drive(season, rounds=2))

    assert verify_season(season).problems == []


def test_records_that_disagree_are_not_covered_up(season):
    fill = Fill.objects.filter(account__ordinal=1).order_by("seq")[0]
    tamper(fill, price=fill.price + 1)
    wallet()

    with pytest.raises(ControlError, match="its records disagree, the first: round 1: "):
        rebuild_season(season, actor="mara", now=timezone.now())
    assert any("wallet" in problem for problem in verify_season(season).problems)


def test_a_changed_contract_is_nothing_to_rebuild_from(season):
    tamper(season, contract=season.contract + " ")

    with pytest.raises(ControlError, match="does not hash to"):
        rebuild_season(season, actor="mara", now=timezone.now())


def test_a_round_that_is_being_played_is_waited_for(season):
    wallet()
    assert open_due_round(season.pk, now=timezone.now()) is not None
    assert Round.objects.open().exists()

    with pytest.raises(ControlError, match="is being played: pause it first, or try again"):
        rebuild_season(season, actor="mara", now=timezone.now())


def test_what_an_emergency_close_left_is_rebuilt_too(season):
    control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())
    for spoil in (position_changed, standing_lost, rollup_lost, wallet, season_counters):
        spoil()

    rebuild_season(season, actor="mara", now=timezone.now())

    assert verify_season(season).problems == []


# --- the command --------------------------------------------------------------------------------


def test_the_command_checks_mends_and_then_finds_nothing(season, capsys):
    standing()

    with pytest.raises(CommandError, match="season: 2 differences, nothing was written") as failed:
        call_command("rebuild", "season", "--check")
    assert failed.value.returncode == 1
    assert "standing 2: peak stored 12000.00000000" in capsys.readouterr().out

    call_command("rebuild", "season")
    assert capsys.readouterr().out.endswith("season: 2 differences mended\n")

    call_command("rebuild", "season", "--check")
    assert capsys.readouterr().out == "season: nothing differs\n"


def test_the_command_answers_in_json(season):
    standing_lost()
    told = StringIO()

    call_command("rebuild", "season", "--json", stdout=told)

    assert json.loads(told.getvalue()) == {
        "ok": True,
        "competition": "season",
        "written": True,
        "changes": ["standing 2 is missing"],
    }
