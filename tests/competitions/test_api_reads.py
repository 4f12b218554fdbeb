"""The reads of the API: what they tell, to whom, in how many queries, and how bad input is answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from competitions.api.wire import decimal_text
from competitions.models import Competition, Participant, Turn
from competitions.models.competitions import Visibility
from competitions.services.access import make_api_key
from tests.builders import make_user
from tests.competitions.played import make_draft, play
from trading.models import Position, Standing

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OF_COMPETITION = ("", "/status", "/leaderboard", "/rounds", "/events")
OF_PARTICIPANT = (
    "",
    "/account",
    "/portfolio",
    "/positions",
    "/trades",
    "/orders",
    "/performance",
    "/decisions",
    "/rejected-decisions",
    "/equity",
)
OF_ARENA = ("/status", "/leaderboard", "/decisions", "/positions", "/market-data")


def key_for(name="mara", scopes=("READ",), role="operator"):
    owner = make_user(name, role)
    made = make_api_key("test", owner=owner, scopes=scopes, actor=name, now=NOW)
    return {"X-API-Key": made.token}


def read(client: Client, path: str, **options):
    answer = client.get(f"{ROOT}{path}", **options)
    assert answer.status_code == 200, (path, answer.content)
    return answer.json()


def paths_of(season: Competition) -> list[str]:
    participant = season.participants.get(slug="buy-and-hold")
    return [
        *(f"/competitions/{season.slug}{end}" for end in OF_COMPETITION),
        f"/leaderboard/competitions/{season.pk}/leaderboard",
        *(f"/participants/{participant.pk}{end}" for end in OF_PARTICIPANT),
        *(f"{end}?competition={season.slug}" for end in OF_ARENA if end != "/status"),
        f"/market-data/btcusdt?competition={season.slug}",
    ]


# --- what is told ---------------------------------------------------------------------------------


def test_a_competition_is_found_by_its_id_and_by_its_slug(client):
    season = play()

    by_slug = read(client, "/competitions/small")
    by_id = read(client, f"/competitions/{season.pk}")

    assert by_slug == by_id
    assert by_slug["status"] == "RUNNING"
    assert by_slug["mode"] == "SIMULATED"
    assert by_slug["initial_capital"] == "10000"
    assert by_slug["starts_at"] == "2026-03-02T12:00:00Z"
    assert [row["slug"] for row in by_slug["participants"]] == ["buy-and-hold", "cash", "random"]
    assert by_slug["instruments"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert by_slug["rules"]["max_position_size_pct"] == "30"


def test_the_leaderboard_agrees_with_the_standings_at_all_its_addresses(client):
    season = play()
    standings = Standing.objects.filter(account__book=season.book)

    board = read(client, "/competitions/small/leaderboard")

    assert board == read(client, f"/leaderboard/competitions/{season.pk}/leaderboard")
    assert board == read(client, "/leaderboard")
    assert board["closed_rounds"] == 2
    told = {row["participant"]["slug"]: Decimal(row["equity"]) for row in board["rows"]}
    assert told == {row.account.participant.slug: row.equity for row in standings}


def test_an_account_adds_up(client):
    season = play()
    participant = season.participants.get(slug="buy-and-hold")

    portfolio = read(client, f"/participants/{participant.pk}/portfolio")
    account = read(client, f"/participants/{participant.pk}/account")

    assert portfolio["account"] == account
    wallet, unrealised = Decimal(account["wallet"]), Decimal(account["unrealised"])
    assert Decimal(account["equity"]) == wallet + unrealised
    assert sum(Decimal(row["unrealised"]) for row in portfolio["positions"]) == unrealised
    assert [row["symbol"] for row in portfolio["positions"]] == list(
        Position.objects.open()
        .filter(account=participant.account)
        .order_by("symbol")
        .values_list("symbol", flat=True)
    )


def test_before_the_start_an_account_holds_the_start_capital(client):
    participant = make_draft().participants.get(slug="cash")
    headers = key_for()

    account = read(client, f"/participants/{participant.pk}/account", headers=headers)
    how = read(client, f"/participants/{participant.pk}/performance", headers=headers)

    assert (account["status"], account["equity"], account["at"]) == ("UNOPENED", "10000", None)
    assert (how["total_return"], how["win_rate"], how["outcomes"]) == ("0", None, {})


def test_decisions_tell_instructions_verdicts_and_fills(client):
    season = play()
    participant = season.participants.get(slug="buy-and-hold")

    page = read(client, f"/participants/{participant.pk}/decisions")

    assert [row["round"] for row in page["items"]] == [2, 1]
    first = page["items"][1]
    assert first["outcome"] == "TRADED"
    leg = first["instructions"][0]
    assert (leg["verdict"], leg["instruction"]["action"]) == ("FILLED", "open_long")
    assert isinstance(leg["filled_price"], str)


def test_rejected_decisions_are_those_without_effect(client):
    season = play()
    participant = season.participants.get(slug="cash")
    turn = Turn.objects.get(participant=participant, round__number=2)
    Turn.objects.filter(pk=turn.pk).update(outcome="INVALID", reason="no JSON found")

    page = read(client, f"/participants/{participant.pk}/rejected-decisions")

    assert [(row["round"], row["reason"]) for row in page["items"]] == [(2, "no JSON found")]


def test_market_data_are_the_marks_of_the_last_snapshot(client):
    play()

    market = read(client, "/market-data")
    symbol = read(client, "/market-data/BTCUSDT")

    assert (market["is_simulated"], market["rounds"]) == (True, 2)
    assert [row["symbol"] for row in market["prices"]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert market["prices"][0] == symbol
    missing = client.get(f"{ROOT}/market-data/PEPEUSDT")
    assert missing.status_code == 404
    assert "there are BTCUSDT, ETHUSDT, SOLUSDT" in missing.json()["detail"]


def test_the_arena_counts_public_competitions_by_status(client):
    play()
    make_draft("draft")

    assert read(client, "/status")["competitions"] == {"RUNNING": 1}
    assert read(client, "/status", headers=key_for())["competitions"] == {"DRAFT": 1, "RUNNING": 1}


def test_the_schema_of_a_decision_is_published(client):
    assert read(client, "/schemas/decision")["required"] == ["summary", "instructions"]


# --- pages ----------------------------------------------------------------------------------------


def walk(client, path, limit=1):
    """Return all rows of a listing, taken page by page."""
    rows, cursor = [], ""
    while cursor is not None:
        page = read(client, f"{path}?limit={limit}&cursor={cursor}")
        assert len(page["items"]) <= limit
        rows += page["items"]
        cursor = page["next_cursor"]
    return rows


def test_every_listing_can_be_walked_page_by_page(client):
    season = play(rounds=3)
    play("other", rounds=1)
    participant = season.participants.get(slug="random")
    own = f"/participants/{participant.pk}"
    listings = ("/competitions", "/competitions/small/rounds", "/competitions/small/events")

    ends = ("decisions", "equity", "trades", "orders")
    for path in (*listings, *(f"{own}/{end}" for end in ends)):
        whole = read(client, f"{path}?limit=200")
        assert whole["next_cursor"] is None
        assert walk(client, path) == whole["items"], path
    decisions = walk(client, "/decisions", limit=2)
    assert len(decisions) == 3  # one round of three participants in the season that started last
    assert [row["seq"] for row in walk(client, "/competitions/small/events", limit=7)] == list(
        range(1, season.event_seq + 1)
    )


def test_a_cursor_that_no_page_gave_is_refused(client):
    play(rounds=1)

    for cursor in ("x", "-1", "1.5", "9" * 19, "²"):
        answer = client.get(f"{ROOT}/competitions/small/rounds", {"cursor": cursor})
        assert answer.status_code == 422, cursor
        assert answer.json()["code"] == "BAD_CURSOR"
    assert client.get(f"{ROOT}/competitions?cursor={'9' * 18}").status_code == 422
    answer = client.get(f"{ROOT}/competitions/small/rounds?limit=0")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "limit"
    assert "'0'" in answer.json()["detail"]


# --- who may see what -----------------------------------------------------------------------------


def test_strangers_read_what_is_public_and_no_draft(client):
    season = play()
    draft = make_draft("draft")

    for path in paths_of(season):
        read(client, path)
    for path in paths_of(draft):
        assert client.get(f"{ROOT}{path}").status_code == 404, path


def test_what_is_private_wants_a_key_of_an_account_with_a_role(client):
    season = play()
    Competition.objects.update(visibility=Visibility.PRIVATE)
    viewer, nobody = key_for("vera", role="viewer"), key_for("otto", role=None)

    for path in paths_of(season):
        assert client.get(f"{ROOT}{path}").status_code == 404, path
        assert client.get(f"{ROOT}{path}", headers=nobody).status_code == 404, path
        read(client, path, headers=viewer)
    assert client.get(f"{ROOT}/leaderboard").status_code == 404
    assert read(client, "/competitions")["items"] == []
    assert len(read(client, "/competitions", headers=viewer)["items"]) == 1


def test_what_is_unlisted_is_found_by_its_address_and_in_no_list(client):
    play()
    Competition.objects.update(visibility=Visibility.UNLISTED)

    read(client, "/competitions/small")
    assert read(client, "/competitions")["items"] == []
    assert read(client, "/status")["competitions"] == {}


def test_a_wrong_key_is_refused_even_where_none_is_needed(client):
    play(rounds=1)

    answer = client.get(f"{ROOT}/competitions/small", headers={"X-API-Key": "dev-api-key"})

    assert answer.status_code == 401
    assert answer.json()["code"] == "KEY_INVALID"


def test_a_session_is_no_key(client):
    play(rounds=1)
    Competition.objects.update(visibility=Visibility.PRIVATE)
    client.force_login(get_user_model().objects.create_superuser("root", "", "x"))

    assert client.get(f"{ROOT}/competitions/small").status_code == 404


# --- errors and form ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/competitions/nowhere", 404, "NO_COMPETITION"),
        ("/competitions/00000000-0000-4000-8000-000000000000", 404, "NO_COMPETITION"),
        ("/participants/00000000-0000-4000-8000-000000000000", 404, "NO_PARTICIPANT"),
        ("/participants/no-uuid", 422, "BAD_INPUT"),
        ("/competitions?status=ASLEEP", 422, "BAD_STATUS"),
        ("/leaderboard", 404, "NO_COMPETITION"),
        ("/no/such/thing", 404, "NOT_FOUND"),
        ("/competitions/a%00b", 404, "NO_COMPETITION"),
        ("/leaderboard?competition=%00", 404, "NO_COMPETITION"),
    ],
)
def test_an_error_says_what_was_found_under_a_code_and_a_request_id(client, path, status, code):
    answer = client.get(f"{ROOT}{path}")

    assert answer.status_code == status
    body = answer.json()
    assert body["code"] == code
    assert body["detail"]
    assert answer["X-Request-ID"] == body["request_id"]


def test_a_bug_is_told_by_its_request_id_alone(client, monkeypatch, caplog):
    play(rounds=1)

    def broken(season):
        raise RuntimeError("the inside of it")

    monkeypatch.setattr("competitions.api.competitions.board_of", broken)
    answer = client.get(f"{ROOT}/competitions/small/leaderboard")

    assert (answer.status_code, answer.json()["code"]) == (500, "BUG")
    assert "inside" not in answer.content.decode()
    [logged] = [record for record in caplog.records if record.exc_info]
    assert answer.json()["request_id"] in logged.getMessage()


def test_numbers_are_written_out():
    assert decimal_text(Decimal("1E+3")) == "1000"
    assert decimal_text(Decimal("-0.00")) == "0"
    assert decimal_text(Decimal("0.10")) == "0.1"
    assert decimal_text(Decimal(1) / 3) == "0.333333333333"
    assert decimal_text(Decimal("99999999999999999999.5")) == "99999999999999999999.5"


def test_no_answer_carries_a_float(client):
    season = play()

    for path in paths_of(season):
        body = client.get(f"{ROOT}{path}").content
        json.loads(body, parse_float=lambda text, path=path: pytest.fail(f"{text} in {path}"))


def test_reads_take_a_bounded_number_of_queries(client, django_assert_max_num_queries):
    season = play(rounds=3)

    for path in paths_of(season):
        # Competition, feed and book in one, roster, instruments; then what the path is about.
        with django_assert_max_num_queries(10):
            read(client, path)
    assert Participant.objects.count() == 3
