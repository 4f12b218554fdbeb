"""Trials: the real prompt and a real answer before the first round; nothing traded, nothing paid for twice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents import services as agents
from agents.models import Agent, Completion, Decision, Provider
from competitions.models import AuditEvent, Competition, Participant, Round, Trial, Turn
from competitions.models.competitions import ClockKind, FillRule
from competitions.selectors.trials import trial_view
from competitions.services.driving import drive
from competitions.services.errors import ControlError, TooOften
from competitions.services.rounds import open_due_round
from competitions.services.trials import (
    is_before_rounds,
    left_trials,
    request_trials,
    run_trial,
)
from marketdata.models import MarketSnapshot
from tests.builders import (
    STARTS_AT,
    Model,
    baselines,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
)
from tests.competitions.test_races import at_once
from tests.fakes.season_server import SeasonServer
from trading.models import Account, Book, Order, Posting

pytestmark = pytest.mark.django_db

SAYER = Model("sayer", "says-what-it-is-told")
# At most 30 % of the equity is one position's margin: the second asks for half of what is free.
SAID = json.dumps(
    {
        "summary": "One good order, one too large, and a pause.",
        "instructions": [
            {"action": "open_long", "symbol": "BTCUSDT", "margin_fraction": "0.1", "leverage": 2},
            {"action": "open_short", "symbol": "ETHUSDT", "margin_fraction": "0.5", "leverage": 1},
            {"action": "hold", "symbol": "SOLUSDT"},
        ],
    }
)


@pytest.fixture
def server() -> Iterator[SeasonServer]:
    with SeasonServer() as running:
        running.say = SAID
        yield running


@pytest.fixture
def draft(server: SeasonServer) -> Competition:
    """Return a draft on a replay in which the sayer takes part, with cash as the second participant."""
    roster = [make_model(SAYER, server.url), *baselines("cash")]
    return make_season("draft", store_market(120 + 60), roster)


def seat(competition: Competition, slug: str = "sayer") -> Participant:
    return competition.participants.select_related("agent").get(slug=slug)


def request_one(competition: Competition, slug: str = "sayer", **options: Any) -> Trial:
    now = options.get("now") or timezone.now()
    (trial,) = request_trials(competition, [seat(competition, slug)], actor="mara", now=now)
    return trial


def run(trial: Trial) -> Trial:
    run_trial(trial.pk)
    return Trial.objects.select_related("snapshot", "decision", "agent", "competition").get(
        pk=trial.pk
    )


def test_a_trial_asks_with_the_prompt_of_the_first_round(draft, server):
    trial = run(request_one(draft))
    view = trial_view(trial)

    start_season(draft)
    list(drive(draft, rounds=1))
    first = Completion.objects.get(turn_key=Turn.objects.get(participant__slug="sayer").turn_key)
    assert view.call is not None
    texts = ("system_id", "market_id", "account_id", "request_id")
    assert [getattr(view.call, name) for name in texts] == [getattr(first, name) for name in texts]
    assert trial.snapshot is not None
    assert trial.snapshot.as_of == STARTS_AT


def test_a_trial_tells_what_the_rules_say_to_each_instruction(draft):
    trial = run(request_one(draft))

    assert (trial.state, trial.outcome, trial.reason) == ("DONE", "READ", "")
    assert trial.decision is not None
    assert trial.decision.status == "VALID"
    told = [(item["index"], item["verdict"]) for item in trial.verdicts]
    assert told == [(1, "ACCEPTED"), (2, "DENIED"), (3, "HELD")]
    assert trial.verdicts[1]["denial"].startswith("POSITION_SHARE_ABOVE_LIMIT ")
    # 10 % of 10,000 at leverage 2, less fee and crossing: 2,000 of notional at about 60,000 a piece.
    accepted = trial.verdicts[0]
    assert 1900 < float(accepted["quantity"]) * float(accepted["price"]) < 2000
    assert trial.verdicts[2]["price"] is None


def test_the_verdicts_are_those_of_the_round_itself(draft):
    trial = run(request_one(draft))

    start_season(draft)
    list(drive(draft, rounds=1))
    order = Order.objects.get(account__ordinal=1, status="FILLED")
    assert trial.verdicts[0]["quantity"] == f"{order.quantity:f}".rstrip("0")
    refused = Order.objects.get(account__ordinal=1, status="DENIED")
    assert trial.verdicts[1]["denial"].startswith(refused.denial_code)


def test_a_trial_trades_nothing_and_leaves_the_draft_as_it_was(draft):
    run(request_one(draft))

    for table in (Book, Account, Order, Posting, Round, Turn):
        assert not table._default_manager.exists()
    draft.refresh_from_db()
    assert (draft.status, draft.round_count, draft.contract) == ("DRAFT", 0, "")
    act = AuditEvent.objects.get(action="trial")
    assert (act.actor, act.subject, act.detail["agent"]) == ("mara", "draft", "sayer")


@pytest.mark.parametrize("said", ["no JSON at all", '{"summary": "x", "instructions": 7}'])
def test_an_answer_that_cannot_be_read_is_on_record_without_verdicts(draft, server, said):
    server.say = said

    trial = run(request_one(draft))

    assert (trial.outcome, trial.verdicts) == ("INVALID", [])
    assert trial.reason != ""
    assert trial_view(trial).answer == said


def test_a_model_that_does_not_answer_in_time_is_asked_no_longer_than_it_may(server):
    roster = [make_model(Model("slow", "slow-30", timeout_seconds=1), server.url)]
    draft = make_season("draft", store_market(120 + 60), roster)
    began = timezone.now()

    trial = run(request_one(draft, "slow"))

    assert trial.outcome == "TIMEOUT"
    assert timezone.now() - began < timedelta(seconds=10)


def test_a_model_without_a_key_is_skipped_and_told_why(draft):
    Provider.objects.filter(slug="fake-openai").update(key_variable="FAKE_API_KEY")

    trial = run(request_one(draft))

    assert trial.outcome == "SKIPPED"
    assert "FAKE_API_KEY" in trial.reason
    assert not Completion.objects.exists()


def test_a_market_that_gives_nothing_is_told_and_nobody_is_asked(server):
    roster = [make_model(SAYER, server.url)]
    # Fifteen minutes of candles less than the first slot wants.
    draft = make_season("draft", store_market(100), roster)

    trial = run(request_one(draft))

    assert trial.outcome == "SKIPPED"
    assert trial.reason.startswith("the stored candles of all symbols reach from")
    assert server.counts["requests"] == 0


# --- paid for once ------------------------------------------------------------------------------


def test_a_task_delivered_again_asks_nobody_again(draft, server):
    trial = request_one(draft)

    for _ in range(5):
        run(trial)

    assert server.counts["requests"] == 1
    assert (Completion.objects.count(), Decision.objects.count()) == (1, 1)


def test_a_trial_cut_off_before_its_answer_was_stored_is_not_paid_for_again(draft, server):
    trial = request_one(draft)
    passed = timezone.now() - timedelta(seconds=1)
    Trial.objects.update(state="ASKED", deadline_at=passed, lease_until=passed)

    again = run(trial)

    assert (again.outcome, again.reason) == (
        "ERROR",
        "the arena was interrupted while the model was asked",
    )
    assert server.counts["requests"] == 0


def test_a_trial_cut_off_after_its_answer_was_stored_is_judged_by_it(draft, server):
    trial = run(request_one(draft))
    Trial.objects.update(
        state="ASKED", outcome="", decision=None, verdicts=[], lease_until=None, finished_at=None
    )

    again = run(trial)

    assert (again.outcome, again.verdicts) == ("READ", trial.verdicts)
    assert server.counts["requests"] == 1


def test_a_trial_that_another_runs_is_left_alone(draft, server):
    trial = request_one(draft)
    Trial.objects.update(state="ASKED", lease_until=timezone.now() + timedelta(seconds=60))

    assert run(trial).state == "ASKED"
    assert server.counts["requests"] == 0


def test_a_trial_whose_message_was_lost_is_found(draft):
    trial = request_one(draft)
    now = timezone.now()

    assert left_trials(now=now) == []
    assert left_trials(now=now + timedelta(seconds=20)) == [trial.pk]
    run(trial)
    assert left_trials(now=now + timedelta(seconds=20)) == []


@pytest.mark.usefixtures("threads_database")
@pytest.mark.django_db(transaction=True)
def test_eight_workers_at_once_ask_once():
    with SeasonServer(shuffle_seconds=0.2) as server:
        server.say = SAID
        draft = make_season("draft", store_market(120 + 60), [make_model(SAYER, server.url)])
        trial = request_one(draft)

        at_once([lambda: run_trial(trial.pk)] * 8)

        assert server.counts["requests"] == 1
    assert Trial.objects.get().outcome == "READ"


# --- how often ----------------------------------------------------------------------------------


def test_one_trial_of_a_participant_is_under_way_at_a_time(draft):
    request_one(draft)

    with pytest.raises(TooOften, match="a trial of Sayer is under way") as found:
        request_one(draft)
    assert found.value.retry_after == 10
    request_one(draft, "cash")
    with pytest.raises(IntegrityError), transaction.atomic():
        Trial.objects.create(
            competition=draft,
            participant=seat(draft),
            agent=seat(draft).agent,
            asked_by="x",
            requested_at=timezone.now(),
        )


def test_ten_trials_an_hour_are_the_most(draft):
    now = timezone.now()
    for minute in range(10):
        request_one(draft, "cash", now=now + timedelta(minutes=minute))
        Trial.objects.update(state="DONE", outcome="READ")

    with pytest.raises(TooOften, match="had 10 trials within the hour") as found:
        request_one(draft, "cash", now=now + timedelta(minutes=10))
    # The first leaves the hour after fifty more minutes.
    assert found.value.retry_after == 50 * 60 + 1
    request_one(draft, "cash", now=now + timedelta(minutes=60, seconds=1))


def test_trials_of_many_are_made_all_or_none(draft):
    request_one(draft, "cash")
    everybody = list(draft.participants.select_related("agent"))

    with pytest.raises(TooOften):
        request_trials(draft, everybody, actor="mara", now=timezone.now())

    assert Trial.objects.count() == 1


@pytest.mark.usefixtures("threads_database")
@pytest.mark.django_db(transaction=True)
def test_of_eight_requests_at_once_one_makes_a_trial():
    draft = make_season("draft", store_market(120 + 60), baselines("cash"))

    def request() -> Any:
        try:
            return request_one(draft, "cash")
        except TooOften as error:
            return error

    results = at_once([request] * 8)

    assert sum(isinstance(result, Trial) for result in results) == 1
    assert Trial.objects.count() == 1


# --- before the first round ---------------------------------------------------------------------


def test_trials_end_with_the_first_round(draft):
    season = start_season(draft)
    assert is_before_rounds(season)
    open_due_round(season.pk, now=timezone.now())

    with pytest.raises(ControlError, match="the rounds of draft have begun"):
        request_one(season)


def test_a_season_on_the_wall_clock_is_tried_on_the_market_of_now():
    later = timezone.now().replace(microsecond=0) + timedelta(days=300)
    season = start_season(
        make_season(
            "walled",
            make_synthetic_feed(),
            baselines("buy_and_hold"),
            clock=ClockKind.WALL,
            fill_rule=FillRule.ARRIVAL,
            starts_at=later,
        )
    )
    assert is_before_rounds(season)

    trial = run(request_one(season, "buy-and-hold"))

    assert trial.outcome == "READ"
    assert [item["verdict"] for item in trial.verdicts] == ["ACCEPTED"] * 3
    assert MarketSnapshot.objects.get().as_of < timezone.now()


# --- from the terminal --------------------------------------------------------------------------


def try_agent(*arguments: str) -> str:
    out = io.StringIO()
    call_command("try_agent", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_shows_answer_verdicts_and_figures(draft):
    told = try_agent("sayer")

    assert "sayer in draft: Answer read" in told
    assert "One good order, one too large, and a pause." in told
    assert "2: POSITION_SHARE_ABOVE_LIMIT " in told
    assert "prompt characters: system " in told
    assert not Book.objects.exists()


def test_the_command_tells_programs_the_same(draft):
    told = json.loads(try_agent("sayer", "--json", "--symbols", "btcusdt, ethusdt"))

    assert (told["outcome"], told["status"], told["attempts"]) == ("READ", "VALID", 1)
    assert told["instructions"][0]["verdict"] == "ACCEPTED"
    assert told["prompt_characters"]["market"] > 500
    assert "SOLUSDT" not in trial_view(Trial.objects.get()).market


def test_an_agent_is_tried_without_taking_part(draft):
    other = Agent.objects.get(slug="buy-and-hold")

    told = json.loads(try_agent(other.slug, "--competition", "draft", "--json"))

    assert [item["verdict"] for item in told["instructions"]] == ["ACCEPTED"] * 3
    assert Trial.objects.get().participant is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody"], 2, "there is no agent 'nobody'"),
        (["sayer", "--competition", "none"], 2, "there is no competition 'none'"),
        (["sayer", "--symbols", "PEPEUSDT"], 3, "asked for PEPEUSDT"),
    ],
)
def test_the_command_tells_wrong_use_and_what_could_not_be_asked_apart(
    draft, arguments, code, words
):
    with pytest.raises(CommandError, match=words) as found:
        try_agent(*arguments)
    assert found.value.returncode == code


def test_the_command_ends_with_one_when_the_answer_is_of_no_use(draft, server):
    server.say = "I would rather not."

    with pytest.raises(CommandError, match="sayer: invalid") as found:
        try_agent("sayer", "--json")
    assert found.value.returncode == 1


def test_the_command_wants_a_competition():
    agents.ensure_defaults()

    with pytest.raises(CommandError, match="a competition is wanted; there is none yet"):
        try_agent("cash")
