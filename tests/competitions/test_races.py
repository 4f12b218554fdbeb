"""Workers, clocks and operators at once, each on a connection of its own; on PostgreSQL they truly run side by side."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from agents.models import Completion
from competitions.models import Competition, Event, Leg, Round, Turn
from competitions.services import control
from competitions.services.errors import ControlError
from competitions.services.rounds import finish_round, open_due_round, prepare_round
from competitions.services.turns import play_turns
from competitions.services.verifying import verify_season
from marketdata.services import quotes_of
from tests.builders import Model, make_model, make_season, start_season, store_market
from tests.fakes.season_server import SeasonServer
from trading import services as trading
from trading.domain.intents import Wish, WishAction
from trading.models import Order
from trading.models.orders import OrderCause

pytestmark = [pytest.mark.usefixtures("threads_database"), pytest.mark.timeout(300)]

# Six orders, so that a pause finds turns between them.
SAID = json.dumps(
    {
        "summary": "In small steps.",
        "instructions": [
            {"action": "open_long", "symbol": symbol, "margin_fraction": "0.03", "leverage": 1}
            for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT") * 2
        ],
    }
)


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all of the work at the same time, a thread each, and return what came of it; errors are raised."""
    gate, results, errors = threading.Barrier(len(works)), [None] * len(works), []

    def do(place: int) -> None:
        try:
            gate.wait(20)
            results[place] = works[place]()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]
    return results


def running_season(slug: str, url: str, count: int) -> Competition:
    models = [Model(f"sayer-{place}", f"says-{place}") for place in range(count)]
    roster = [make_model(model, url) for model in models]
    return start_season(make_season(slug, store_market(120 + 20), roster))


def prepared(season: Competition) -> tuple[Round, list[Any]]:
    round_ = open_due_round(season.pk, now=timezone.now())
    assert round_ is not None
    return round_, prepare_round(round_.pk, now=timezone.now())


def test_many_ticks_at_once_open_one_round() -> None:
    with SeasonServer() as server:
        season = running_season("season", server.url, 2)

    opened = at_once([lambda: open_due_round(season.pk, now=timezone.now())] * 8)

    assert sum(round_ is not None for round_ in opened) == 1
    assert Round.objects.count() == 1
    assert Turn.objects.count() == 2


def test_many_captures_at_once_keep_one_snapshot_and_one_tape() -> None:
    with SeasonServer() as server:
        season = running_season("season", server.url, 2)
    round_ = open_due_round(season.pk, now=timezone.now())
    assert round_ is not None

    handed_out = at_once([lambda: prepare_round(round_.pk, now=timezone.now())] * 6)

    assert {len(turn_ids) for turn_ids in handed_out} == {2}
    season.refresh_from_db()
    assert season.opened_book.tape_segments == 1


def test_eight_workers_with_a_turn_each_close_the_round_once() -> None:
    with SeasonServer(shuffle_seconds=0.1) as server:
        server.say = SAID
        season = running_season("season", server.url, 8)
        round_, turn_ids = prepared(season)

        at_once([lambda turn_id=turn_id: play_turns(round_.pk, [turn_id]) for turn_id in turn_ids])
        assert server.counts["requests"] == 8

    assert [turn.outcome for turn in Turn.objects.all()] == ["TRADED"] * 8
    assert Completion.objects.count() == 8
    assert Leg.objects.count() == Order.objects.count() == 8 * 6
    assert Event.objects.filter(kind="round_complete").count() == 1
    numbers = list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert finish_round(round_.pk, now=timezone.now()) is False
    assert verify_season(season).problems == []


def test_eight_workers_with_all_turns_each_ask_every_model_once() -> None:
    with SeasonServer(shuffle_seconds=0.1) as server:
        server.say = SAID
        season = running_season("season", server.url, 8)
        round_, turn_ids = prepared(season)

        at_once([lambda: play_turns(round_.pk, turn_ids)] * 8)
        assert server.counts["requests"] == 8

    assert [turn.outcome for turn in Turn.objects.all()] == ["TRADED"] * 8
    assert Order.objects.count() == 8 * 6
    assert verify_season(season).problems == []


INTERLEAVINGS = 20


def accepted() -> set[str]:
    """Return the orders that grow an exposure and were not refused."""
    taken = Order.objects.exclude(status="DENIED").filter(reduce_only=False)
    return set(taken.values_list("client_order_id", flat=True))


def test_no_exposure_grows_once_a_pause_is_committed() -> None:
    """The pause comes at twenty places between the first answer and the last order."""
    torn = 0
    with SeasonServer(shuffle_seconds=0.05) as server:
        server.say = SAID
        for turn in range(INTERLEAVINGS):
            season = running_season(f"season-{turn}", server.url, 4)
            torn += pause_in_the_middle(season, wait=0.02 * turn)

    # Some pauses met a turn between two of its orders, else this told little.
    assert torn > 0


def pause_in_the_middle(season: Competition, *, wait: float) -> int:
    """Pause a season while two workers play its round; return how many orders the pause refused."""
    round_, turn_ids = prepared(season)
    before = accepted()

    def pause() -> set[str]:
        time.sleep(wait)
        control.pause_competition(
            season, actor="mara", reason="", after_round=False, now=timezone.now()
        )
        return accepted()

    halves = (turn_ids[:2], turn_ids[2:])
    works = [lambda half=half: play_turns(round_.pk, half) for half in halves]
    *_, at_the_pause = at_once([*works, pause])

    assert accepted() == at_the_pause
    assert accepted() >= before
    turns = Turn.objects.filter(round=round_)
    assert set(turns.values_list("outcome", flat=True)) <= {"TRADED", "DENIED", "CANCELLED"}
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    season.refresh_from_db()
    assert season.status == "PAUSED"
    assert verify_season(season).problems == []
    return Leg.objects.filter(turn__in=turns, denial__startswith="BOOK_NOT_RUNNING").count()


def test_a_pause_that_waits_for_an_answer_lets_it_be_settled() -> None:
    """The answer is marked in a transaction that the pause must wait for; what it then finds is no longer to be cancelled."""
    with SeasonServer() as server:
        season = running_season("season", server.url, 1)
    prepared(season)

    def pause() -> None:
        try:
            control.pause_competition(
                season, actor="mara", reason="", after_round=False, now=timezone.now()
            )
        finally:
            connection.close()

    pausing = threading.Thread(target=pause)
    with transaction.atomic():
        Turn.objects.update(state="ANSWERED")
        pausing.start()
        time.sleep(0.5)
    pausing.join(30)

    season.refresh_from_db()
    turn = Turn.objects.get()
    assert (season.status, turn.state, turn.outcome, turn.fence) == ("PAUSED", "ANSWERED", "", 0)


def buy_order(
    season: Competition, name: str, ask: Callable[..., Order] = trading.place_order
) -> Order:
    """Ask for a little of the first symbol in the name of the only participant, at the round's quote."""
    snapshot = Round.objects.get().snapshot
    assert snapshot is not None
    return ask(
        season.participants.get().seat.pk,
        Wish(action=WishAction.OPEN_LONG, symbol="BTCUSDT", notional=Decimal(500), leverage=1),
        quotes_of(snapshot.content())["BTCUSDT"],
        client_order_id=name,
        cause=OrderCause.INSTRUCTION,
        turn_key=Turn.objects.get().turn_key,
        leg=1,
        market_at=snapshot.as_of,
        tape_position=6,
        now=timezone.now(),
    )


def test_an_order_that_meets_a_pause_on_its_way_waits_for_it_and_is_refused() -> None:
    with SeasonServer() as server:
        season = running_season("season", server.url, 1)
    prepared(season)
    orders: list[Order] = []

    def order() -> None:
        try:
            orders.append(buy_order(season, "late"))
        finally:
            connection.close()

    ordering = threading.Thread(target=order)
    with transaction.atomic():
        control.pause_competition(
            season, actor="mara", reason="", after_round=False, now=timezone.now()
        )
        ordering.start()
        time.sleep(0.5)
        assert orders == []
    ordering.join(30)

    assert [(row.status, row.denial_code) for row in orders] == [("DENIED", "BOOK_NOT_RUNNING")]
    season.refresh_from_db()
    with pytest.raises(ControlError):
        control.pause_competition(
            season, actor="mara", reason="", after_round=False, now=timezone.now()
        )


def test_a_pause_waits_for_an_order_that_is_being_accepted() -> None:
    with SeasonServer() as server:
        season = running_season("season", server.url, 1)
    prepared(season)
    paused = threading.Event()

    def pause() -> None:
        try:
            control.pause_competition(
                season, actor="mara", reason="", after_round=False, now=timezone.now()
            )
            paused.set()
        finally:
            connection.close()

    pausing = threading.Thread(target=pause)
    with transaction.atomic():
        buy_order(season, "early", trading.accept_order)
        pausing.start()
        assert not paused.wait(0.5), "it would tell of a pause that an order comes after"
    pausing.join(30)

    assert paused.is_set()
    assert Order.objects.get().status == "SUBMITTING"
    assert buy_order(season, "after").status == "DENIED"
