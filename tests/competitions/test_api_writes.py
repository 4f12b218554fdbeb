"""The writes of the API: setting up, registering, control, and sending a request twice."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from agents import services as agents
from agents.models import Agent
from competitions.api.access import Caller
from competitions.api.once import answer_once
from competitions.api.wire import FaultOut
from competitions.models import AuditEvent, Competition, Participant
from competitions.models.access import ApiReply
from competitions.models.competitions import CompetitionStatus
from competitions.models.roles import Role
from competitions.services.access import make_api_key
from competitions.services.roles import give_role
from marketdata.models import Feed, Instrument
from tests.builders import make_instruments, make_synthetic_feed, make_user
from tests.competitions.played import make_draft, play
from trading.models import Position

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"


@pytest.fixture
def staff():
    return make_user("mara", "administrator")


@pytest.fixture
def market():
    agents.ensure_defaults()
    make_instruments()
    return make_synthetic_feed()


def key(owner, *scopes):
    made = make_api_key("test", owner=owner, scopes=scopes, actor="mara", now=timezone.now())
    return made.token


def send(path, body=None, *, token="", again="", raw=None):
    # Programs have no CSRF token.
    client = Client(enforce_csrf_checks=True)
    headers = {"X-API-Key": token} if token else {}
    if again:
        headers["Idempotency-Key"] = again
    content = raw if raw is not None else ("" if body is None else json.dumps(body))
    return client.post(f"{ROOT}{path}", content, content_type="application/json", headers=headers)


def gauntlet(**changes):
    """Return the body of the competition that the Gauntlet's readme makes, in the future."""
    start = timezone.now().replace(microsecond=0) + timedelta(days=1)
    body = {
        "name": "Winter 2025 Crypto Challenge",
        "description": "30-day crypto trading competition",
        "start_time": start.isoformat().replace("+00:00", "Z"),
        "end_time": (start + timedelta(days=30)).isoformat().replace("+00:00", "Z"),
        "invocation_interval_minutes": 15,
        "initial_capital": 100000.00,
        "max_leverage": 10.0,
        "max_position_size_pct": 20.0,
        "allowed_asset_classes": ["crypto"],
        "margin_requirement_pct": 10.0,
        "maintenance_margin_pct": 5.0,
        "max_participants": 5,
        "market_hours_only": False,
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


CLAUDE = {
    "name": "Claude Trader",
    "llm_provider": "anthropic",
    "llm_model": "claude-3-5-sonnet-20241022",
    "llm_config": {"temperature": 0.7, "max_tokens": 4096},
    "timeout_seconds": 30,
}


def register(token, competition="winter-2025-crypto-challenge", again="", **changes):
    path = f"/participants/competitions/{competition}/participants"
    return send(path, {**CLAUDE, **changes}, token=token, again=again)


# --- competitions ---------------------------------------------------------------------------------


def test_a_competition_is_made_as_it_was_wished(staff, market):
    answer = send("/competitions", gauntlet(), token=key(staff, "ADMIN"))

    assert answer.status_code == 201, answer.content
    told, row = answer.json(), Competition.objects.get()
    assert told["id"] == str(row.pk)
    assert (told["slug"], told["status"]) == ("winter-2025-crypto-challenge", "DRAFT")
    assert told["initial_capital"] == "100000"
    assert told["rules"]["margin_model"] == "cfd"
    assert told["rules"]["max_leverage"] == 10
    assert told["instruments"] == sorted(Instrument.objects.values_list("symbol", flat=True))
    assert (row.interval_seconds, row.max_participants) == (900, 5)
    assert (row.max_position_size_pct, row.clock) == (Decimal(20), "WALL")
    assert row.ends_at - row.starts_at == timedelta(days=30)
    assert row.feed == market
    assert AuditEvent.objects.filter(action="created", subject=row.slug).exists()


def test_a_new_competition_acts_between_rounds_unless_told_otherwise(staff, market):
    token = key(staff, "ADMIN")
    told = send("/competitions", gauntlet(), token=token).json()["rules"]
    plain = {"acts_between_rounds": False, "resting_orders": False}
    off = send("/competitions", gauntlet(**plain), token=token).json()["rules"]

    assert (told["acts_between_rounds"], told["resting_orders"]) == (True, True)
    assert (off["acts_between_rounds"], off["resting_orders"]) == (False, False)


def test_the_terms_of_the_account_are_told_as_they_were_wished(staff, market):
    terms = {
        "stop_out_basis": "open",
        "leverage_limits": {"BTCUSDT": 5},
        "max_decisions_per_hour": 4,
        "drawdown_warn_pct": "10",
        "drawdown_stop_pct": "20.5",
        "drawdown_close_pct": "30",
        "overnight_bps_long": "0.8",
        "overnight_bps_short": "-0.25",
        "overnight_hour_utc": 22,
    }

    told = send("/competitions", gauntlet(**terms), token=key(staff, "ADMIN")).json()["rules"]

    assert {name: told[name] for name in terms} == terms
    assert (told["margin_mode"], told["clearance_fee_bps"]) == ("cross", "0")


def test_the_same_name_again_gets_another_address(staff, market):
    token = key(staff, "ADMIN")

    slugs = [send("/competitions", gauntlet(), token=token).json()["slug"] for _ in range(2)]

    assert slugs == ["winter-2025-crypto-challenge", "winter-2025-crypto-challenge-2"]


@pytest.mark.parametrize(
    ("changes", "where", "told"),
    [
        ({"name": ...}, "name", "required"),
        ({"name": "  "}, "name", "'  '"),
        ({"name": "a\x00b"}, "name", "U+0000"),
        ({"nmae": "x"}, "nmae", "no such field"),
        ({"initial_capital": -5}, "initial_capital", "was -5"),
        ({"initial_capital": "lots"}, "initial_capital", "'lots'"),
        ({"max_leverage": 2.5}, "max_leverage", "was 2.5"),
        ({"max_position_size_pct": 101}, "max_position_size_pct", "was 101"),
        (
            {"maintenance_margin_pct": 12},
            "maintenance_margin_pct",
            "at most margin_requirement_pct",
        ),
        ({"market_hours_only": True}, "market_hours_only", "was True"),
        ({"start_time": "2025-02-01T00:00:00Z"}, "start_time", "must be after now"),
        ({"start_time": "2026-02-01T00:00:00"}, "start_time", "timezone"),
        ({"start_time": 12}, "start_time", "was 12"),
        ({"end_time": "2025-02-01T00:00:00Z"}, "end_time", "must be after now"),
        ({"allowed_asset_classes": ["bonds"]}, "allowed_asset_classes", "was BONDS"),
        ({"allowed_asset_classes": []}, "allowed_asset_classes", "at least 1"),
        ({"symbols": ["PEPEUSDT"]}, "symbols", "was PEPEUSDT"),
        ({"feed": "bloomberg"}, "feed", "must be one of synthetic-7, was 'bloomberg'"),
        ({"slug": "a b"}, "slug", "'a b'"),
        ({"timeframes": ["7x"]}, "timeframes", "was 7x"),
        ({"deadline_seconds": 901}, "deadline_seconds", "(900 s), was 901 s"),
        ({"margin_mode": "shared"}, "margin_mode", "'shared'"),
        ({"margin_mode": "isolated"}, "margin_mode", "must be cross for contracts for difference"),
        ({"clearance_fee_bps": 5}, "clearance_fee_bps", "which pay the taker fee instead, was 5"),
        ({"leverage_limits": {"PEPEUSDT": 2}}, "leverage_limits", "found PEPEUSDT"),
        ({"leverage_limits": {"BTCUSDT": 11}}, "leverage_limits", "highest leverage (10), was 11"),
        ({"max_decisions_per_hour": 0}, "max_decisions_per_hour", "was 0"),
        ({"drawdown_warn_pct": 100}, "drawdown_warn_pct", "was 100"),
        (
            {"drawdown_warn_pct": 20, "drawdown_stop_pct": "20"},
            "drawdown_stop_pct",
            "must be above the limit before (20) and below 100, was 20",
        ),
        (
            {"drawdown_close_pct": 30, "acts_between_rounds": False},
            "drawdown_close_pct",
            "nobody would close",
        ),
        (
            {"margin_model": "perpetual", "overnight_bps_long": "0.8"},
            "overnight_bps_long",
            "must be 0 for perpetuals, which pay funding instead, was 0.8",
        ),
        ({"overnight_hour_utc": 24}, "overnight_hour_utc", "was 24"),
        ({"initial_capital": "NaN"}, "initial_capital", "NaN"),
        ({"initial_capital": "1e400"}, "initial_capital", "1e400"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_where_it_was_said(staff, market, changes, where, told):
    answer = send("/competitions", gauntlet(**changes), token=key(staff, "ADMIN"))

    assert answer.status_code == 422, answer.content
    body = answer.json()
    assert body["code"] == "BAD_INPUT"
    assert [fault["where"] for fault in body["errors"]] == [where]
    assert told in body["detail"]
    assert not Competition.objects.exists()


@pytest.mark.parametrize("raw", ["", "{", "[]", "null", '{"name": NaN}', "[" * 5000, "\xff\xfe"])
def test_what_is_no_json_object_is_refused(staff, market, raw):
    answer = send("/competitions", raw=raw.encode("latin-1"), token=key(staff, "ADMIN"))

    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]
    assert not Competition.objects.exists()


def test_an_end_before_the_start_is_refused(staff, market):
    start = timezone.now() + timedelta(days=2)
    body = gauntlet(start_time=start.isoformat(), end_time=(start - timedelta(hours=1)).isoformat())

    answer = send("/competitions", body, token=key(staff, "ADMIN"))

    assert answer.status_code == 422
    assert not Competition.objects.exists()


def test_without_a_feed_nothing_can_be_made(staff, market):
    Feed.objects.all().delete()

    answer = send("/competitions", gauntlet(), token=key(staff, "ADMIN"))

    assert answer.status_code == 422
    assert "none is set up" in answer.json()["detail"]


# --- participants ---------------------------------------------------------------------------------


def test_a_participant_is_registered_and_told_what_its_model_will_not_get(staff, market):
    token = key(staff, "ADMIN")
    send("/competitions", gauntlet(), token=token)

    answer = register(token)

    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["ordinal"], told["slug"]) == (1, "claude-trader")
    assert (told["provider"], told["model"]) == ("anthropic", "claude-3-5-sonnet-20241022")
    assert told["parameters"]["requested"] == {"temperature": "0.7", "max_tokens": 4096}
    assert told["parameters"]["effective"]["max_tokens"] == 4096
    assert "temperature" not in told["parameters"]["effective"]
    assert told["warnings"] == ["Anthropic does not take temperature: it is left out"]
    assert told["timeout_seconds"] == 30


def test_the_same_model_in_two_seasons_is_one_agent(staff, market):
    token = key(staff, "ADMIN")
    for slug in ("one", "two"):
        send("/competitions", gauntlet(slug=slug), token=token)
        assert register(token, slug).status_code == 201
    assert register(token, "two").json()["slug"] == "claude-trader-2"

    assert Agent.objects.filter(name="Claude Trader").count() == 1
    assert register(token, "two", timeout_seconds=31).json()["agent"] == "claude-trader-2"


def test_a_full_roster_takes_nobody_more(staff, market):
    token = key(staff, "ADMIN")
    send("/competitions", gauntlet(max_participants=1), token=token)

    assert register(token).status_code == 201
    answer = register(token)

    assert answer.status_code == 409
    assert "at most 1 participants, and has 1" in answer.json()["detail"]


def test_nobody_registers_after_the_start(staff):
    token = key(staff, "ADMIN")
    play(rounds=1)

    answer = register(token, "small", llm_provider="baseline", llm_model="cash")

    assert answer.status_code == 409
    assert "small is RUNNING" in answer.json()["detail"]
    assert Participant.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "where", "told"),
    [
        ({"llm_provider": "skynet"}, "llm_provider", "was 'skynet'"),
        ({"llm_provider": "baseline", "llm_model": "oracle"}, "llm_model", "was 'oracle'"),
        ({"timeout_seconds": 0}, "timeout_seconds", "was 0"),
        ({"llm_config": {"api_key": "sk-1"}}, "llm_config", "keys and passwords"),
        ({"llm_config": {"stop": ["x"]}}, "llm_config", "stop must be"),
        ({"llm_config": 3}, "llm_config", "was 3"),
        ({"team": "x"}, "team", "no such field"),
    ],
)
def test_a_participant_that_cannot_be_is_refused_where_it_was_said(
    staff, market, changes, where, told
):
    token = key(staff, "ADMIN")
    send("/competitions", gauntlet(), token=token)

    answer = register(token, **changes)

    assert answer.status_code == 422, answer.content
    assert [fault["where"] for fault in answer.json()["errors"]] == [where]
    assert told in answer.json()["detail"]
    assert "sk-1" not in answer.content.decode()
    assert not Participant.objects.exists()


# --- control --------------------------------------------------------------------------------------


def test_a_season_is_driven_from_start_to_stop(staff):
    make_draft()
    token = key(staff, "CONTROL")

    told = [
        send(f"/competitions/small/{act}", body, token=token).json()["status"]
        for act, body in [
            ("start", None),
            ("pause", {"reason": "lunch"}),
            ("resume", {}),
            ("stop", {"reason": "enough"}),
        ]
    ]

    assert told == ["RUNNING", "PAUSED", "RUNNING", "STOPPED"]
    competition = Competition.objects.get()
    assert competition.stop_reason == "enough"
    prefix = token.split("_")[1]
    actors = set(AuditEvent.objects.filter(subject="small").values_list("actor", flat=True))
    assert actors == {f"mara by key {prefix}"}


def test_what_is_not_possible_now_is_a_conflict_in_words(staff):
    play(rounds=1)

    answer = send("/competitions/small/start", token=key(staff, "CONTROL"))

    assert answer.status_code == 409
    assert answer.json()["code"] == "NOT_POSSIBLE_NOW"
    assert (
        "small cannot be started: it is RUNNING, DRAFT or SCHEDULED is wanted"
        in answer.json()["detail"]
    )


def test_an_emergency_close_leaves_nothing_open_and_says_so(staff):
    play(rounds=1)
    assert Position.objects.open().exists()

    answer = send("/competitions/small/emergency-close", token=key(staff, "CONTROL"))

    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert told["is_flat"]
    assert {line["message"] for line in told["lines"]} == {"closed"}
    assert not Position.objects.open().exists()


def test_an_emergency_close_that_left_something_open_is_no_success(staff):
    competition = play(rounds=1)
    stuck = Position.objects.open().order_by("pk").first()
    # A symbol without a quote cannot be sold.
    Position.objects.filter(pk=stuck.pk).update(symbol="GONEUSDT")

    answer = send("/competitions/small/emergency-close", token=key(staff, "CONTROL"), again="e")

    assert answer.status_code == 503, answer.content
    assert not answer.json()["is_flat"]
    assert Position.objects.open().filter(account__book=competition.book).count() == 1
    Position.objects.filter(pk=stuck.pk).update(symbol=stuck.symbol)
    again = send("/competitions/small/emergency-close", token=key(staff, "CONTROL"), again="e")
    assert (again.status_code, again.json()["is_flat"]) == (200, True)


# --- who may ---------------------------------------------------------------------------------------

WRITES = {
    "/competitions": "ADMIN",
    "/participants/competitions/small/participants": "ADMIN",
    "/competitions/small/start": "CONTROL",
    "/competitions/small/pause": "CONTROL",
    "/competitions/small/resume": "CONTROL",
    "/competitions/small/stop": "CONTROL",
    "/competitions/small/emergency-close": "CONTROL",
}


@pytest.mark.parametrize(("path", "scope"), WRITES.items())
def test_a_write_wants_a_key_with_its_scope_whose_owner_may_hold_it(staff, path, scope):
    play(rounds=1)
    before = list(Competition.objects.values())
    lesser = key(staff, "READ") if scope == "CONTROL" else key(staff, "READ", "CONTROL")
    former = make_user("otto", "administrator")
    formers = key(former, "ADMIN")
    give_role(former, Role.VIEWER, actor="mara", now=timezone.now())

    codes = [
        (answer.status_code, answer.json()["code"])
        for answer in (
            send(path, {}),
            send(path, {}, token="dev-api-key"),
            send(path, {}, token=lesser),
            send(path, {}, token=formers),
        )
    ]

    assert codes == [
        (401, "KEY_MISSING"),
        (401, "KEY_INVALID"),
        (403, "SCOPE_MISSING"),
        (403, "ROLE_MISSING"),
    ]
    assert list(Competition.objects.values()) == before


def test_a_session_writes_nothing(client, staff):
    play(rounds=1)
    client.force_login(staff)

    assert client.post(f"{ROOT}/competitions/small/stop").status_code == 401


# --- twice ----------------------------------------------------------------------------------------


def test_a_request_sent_twice_is_done_once(staff, market):
    token = key(staff, "ADMIN")
    body = gauntlet()

    first = send("/competitions", body, token=token, again="order-1")
    second = send("/competitions", body, token=token, again="order-1")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Competition.objects.count() == 1
    register(token, again="order-2")
    register(token, again="order-2")
    assert Participant.objects.count() == 1


def test_a_stop_sent_twice_is_no_conflict(staff):
    play(rounds=1)
    token = key(staff, "CONTROL")

    answers = [send("/competitions/small/stop", {}, token=token, again="s") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert send("/competitions/small/stop", {}, token=token).status_code == 409


def test_a_name_used_for_another_request_is_refused(staff, market):
    token = key(staff, "ADMIN")
    send("/competitions", gauntlet(), token=token, again="order-1")

    answer = send("/competitions", gauntlet(name="Other"), token=token, again="order-1")

    assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert Competition.objects.count() == 1
    other = send("/competitions", gauntlet(), token=key(staff, "ADMIN"), again="order-1")
    assert other.status_code == 201  # names belong to a key


def test_errors_are_not_kept_under_a_name(staff, market):
    token = key(staff, "ADMIN")

    assert send("/competitions", gauntlet(feed="x"), token=token, again="n").status_code == 422
    assert not ApiReply.objects.exists()
    assert send("/competitions", gauntlet(), token=token, again="n").status_code == 201
    assert send("/competitions", gauntlet(), token=token, again="a b").status_code == 422


def test_of_two_at_once_the_later_one_is_answered_as_the_first(staff, rf):
    made = make_api_key("test", owner=staff, scopes=["ADMIN"], actor="mara", now=timezone.now())
    request = rf.post("/api/v1/competitions", "{}", content_type="application/json")
    request.META["HTTP_IDEMPOTENCY_KEY"] = "n"
    request.auth = Caller(made.row)

    def first() -> FaultOut:
        return FaultOut(where="first", message="")

    def later() -> FaultOut:
        # The other request comes between this one's look and its end.
        answer_once(request, first, status=201, is_atomic=True)
        return FaultOut(where="later", message="")

    answer = answer_once(request, later, status=201, is_atomic=False)

    assert json.loads(answer.content)["where"] == "first"
    assert answer["Idempotency-Replayed"] == "true"


def test_with_the_scope_participant_one_registers_ones_own_and_nothing_else(staff):
    otto = make_user("otto")
    make_draft("draft")
    scheduled = make_draft("open")
    Competition.objects.filter(pk=scheduled.pk).update(status=CompetitionStatus.SCHEDULED)
    token = key(otto, "PARTICIPANT")
    wish = {"name": "Otto's", "llm_provider": "baseline", "llm_model": "cash"}
    at = "/participants/competitions/{}/participants"

    hidden = send(at.format("draft"), wish, token=token)
    made = send(at.format("open"), wish, token=token)
    others = send("/competitions", {"name": "Mine"}, token=token)

    assert (hidden.status_code, hidden.json()["code"]) == (404, "NO_COMPETITION")
    assert made.status_code == 201
    assert scheduled.participants.get(pk=made.json()["id"]).owner == otto
    assert (others.status_code, others.json()["code"]) == (403, "SCOPE_MISSING")
    assert scheduled.participants.exclude(owner=None).count() == 1


def test_what_an_administrator_registers_is_nobodys_own(staff):
    draft = make_draft("draft")
    wish = {"name": "House", "llm_provider": "baseline", "llm_model": "cash"}

    made = send("/participants/competitions/draft/participants", wish, token=key(staff, "ADMIN"))

    assert draft.participants.get(pk=made.json()["id"]).owner is None
