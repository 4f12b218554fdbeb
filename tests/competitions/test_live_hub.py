"""The hub between commits and viewers, over the real socket application."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.db import OperationalError, transaction
from django.utils import timezone

from competitions.live import bridge, hub
from competitions.models import Competition
from competitions.models.competitions import Visibility
from competitions.routing import websocket_urlpatterns
from competitions.services.access import make_api_key
from competitions.services.events import record_events
from tests.builders import baselines, make_user, start_season
from tests.competitions.played import make_draft

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]

application = URLRouter(websocket_urlpatterns)


def make_running(slug: str = "small", **fields) -> Competition:
    return start_season(make_draft(slug, baselines("cash"), **fields))


def tell(competition: Competition, *kinds: str) -> int:
    """Write events and announce them, as services do."""
    return record_events(competition, *((kind, {"n": kind}) for kind in kinds), now=timezone.now())


def tell_silently(competition: Competition, kind: str) -> int:
    """Write an event of which no message tells, as a process without a channel layer does."""
    with mock.patch.object(bridge, "announce"):
        return tell(competition, kind)


async def in_database(work, *args):
    """Run work in a thread; the tests' database in memory refuses a writer while another reads."""
    for _ in range(50):
        try:
            return await database_sync_to_async(work)(*args)
        except OperationalError as error:
            if "locked" not in str(error):
                raise
            await asyncio.sleep(0.05)
    raise AssertionError("the database stayed locked")


@asynccontextmanager
async def viewer(path: str, user=None, *, key: str = ""):
    headers = [(b"x-api-key", key.encode())] if key else []
    socket = WebsocketCommunicator(application, path, headers)
    if user is not None:
        socket.scope["user"] = user
    connected, code = await socket.connect()
    try:
        yield socket if connected else code
    finally:
        if connected:
            await socket.disconnect()


@pytest.fixture(autouse=True)
async def _own_hub(monkeypatch):
    """Let each test's loop have its own hub, which does not wait long after an error, and end its tasks."""
    monkeypatch.setattr(hub, "RETRY_SECONDS", 0.05)
    yield
    loop = asyncio.get_running_loop()
    found = hub._hubs.pop(loop, None)
    if found is not None:
        for task in found._tasks:
            task.cancel()
    bridge._server_loop = None


async def frame(socket, seconds: float = 5) -> str:
    return await socket.receive_from(timeout=seconds)


def pieces_in(text: str) -> list[str]:
    return re.findall(r'<hx-partial hx-target="#(\w+)"', text)


async def test_two_viewers_get_the_same_bytes_of_what_changed():
    competition = await in_database(make_running)
    seq = competition.event_seq
    path = f"/ws/competitions/small/?seq={seq}"
    async with viewer(path) as first, viewer(path) as second:
        # Up to date: they hear only where they are.
        assert pieces_in(await frame(first)) == pieces_in(await frame(second)) == ["pulse"]

        await in_database(tell, competition, "state")
        told = await frame(first), await frame(second)

    assert told[0] == told[1]
    assert f'data-seq="{seq + 1}"' in told[0]
    assert pieces_in(told[0])[-1] == "pulse"


async def test_who_knows_nothing_or_less_gets_the_whole_page():
    competition = await in_database(make_running)
    async with viewer("/ws/competitions/small/") as fresh:
        assert set(pieces_in(await frame(fresh))) >= {
            "title",
            "facts",
            "board",
            "chart",
            "feed",
            "pulse",
        }
    seq = await in_database(tell, competition, "state")
    async with viewer(f"/ws/competitions/small/?seq={seq - 1}") as late:
        assert "board" in pieces_in(await frame(late))


async def test_a_viewer_who_joins_later_misses_nothing_between():
    competition = await in_database(make_running)
    start = competition.event_seq
    async with viewer(f"/ws/competitions/small/?seq={start}") as first:
        await frame(first)
        await in_database(tell, competition, "state")
        await frame(first)
        async with viewer(f"/ws/competitions/small/?seq={start}") as second:
            assert "board" in pieces_in(await frame(second))


async def test_the_poll_finds_what_no_message_told():
    competition = await in_database(make_running)
    async with viewer(f"/ws/competitions/small/?seq={competition.event_seq}") as socket:
        await frame(socket)
        seq = await in_database(tell_silently, competition, "state")
        assert f'data-seq="{seq}"' in await frame(socket)


async def test_a_message_is_faster_than_the_poll():
    competition = await in_database(make_running)
    async with viewer("/ws/competitions/small/?format=json") as socket:
        # The listener is seated, and the loop is bound by its hub.
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        await in_database(tell, competition, "state")
        await frame(socket)
        assert asyncio.get_running_loop().time() - began < 0.8


async def test_json_gives_typed_events_in_order():
    competition = await in_database(make_running)
    seq = competition.event_seq
    async with viewer(f"/ws/competitions/small/?format=json&since={seq}") as socket:
        await in_database(tell, competition, "round_start", "turn_settled", "round_complete")
        events = [json.loads(await frame(socket)) for _ in range(3)]

    assert [event["seq"] for event in events] == [seq + 1, seq + 2, seq + 3]
    assert [event["kind"] for event in events] == ["round_start", "turn_settled", "round_complete"]
    assert set(events[0]) == {"seq", "kind", "payload", "at"}
    assert events[0]["at"].endswith("Z")


async def test_json_resumes_where_it_was_left():
    competition = await in_database(make_running)
    seq = competition.event_seq
    await in_database(tell, competition, "state", "round_start", "round_complete")
    async with viewer(f"/ws/competitions/small/?format=json&since={seq + 1}") as socket:
        assert [json.loads(await frame(socket))["seq"] for _ in range(2)] == [seq + 2, seq + 3]


async def test_json_without_since_begins_with_the_next_event():
    competition = await in_database(make_running)
    async with viewer("/ws/competitions/small/?format=json") as socket:
        assert await socket.receive_nothing(timeout=0.3)
        seq = await in_database(tell, competition, "state")
        assert json.loads(await frame(socket))["seq"] == seq


async def test_listeners_far_apart_each_get_everything_once(monkeypatch):
    monkeypatch.setattr(hub, "EVENTS_A_READ", 10)
    monkeypatch.setattr(hub, "KEPT_EVENTS", 20)
    competition = await in_database(make_running)
    await in_database(tell, competition, *["state"] * 60)
    end = competition.event_seq
    async with viewer(f"/ws/competitions/small/?format=json&since={end}") as new:
        await asyncio.sleep(0.2)
        async with viewer("/ws/competitions/small/?format=json&since=0") as old:
            seen = [json.loads(await frame(old))["seq"] for _ in range(end)]
            assert seen == list(range(1, end + 1))
            await in_database(tell, competition, "state")
            assert json.loads(await frame(new))["seq"] == end + 1
            assert json.loads(await frame(old))["seq"] == end + 1


async def test_hidden_competitions_refuse_strangers_before_the_handshake():
    await in_database(lambda: make_running("private", visibility=Visibility.PRIVATE))
    for path in ("/ws/competitions/private/", "/ws/competitions/nobody/"):
        async with viewer(path) as refused:
            assert refused == 4404
    staff = await in_database(lambda: make_user("m", "viewer"))
    async with viewer("/ws/competitions/private/", staff) as socket:
        assert "board" in pieces_in(await frame(socket))


async def test_a_program_sends_its_key_in_the_handshake():
    await in_database(lambda: make_running("private", visibility=Visibility.PRIVATE))

    def make(owner, *scopes):
        return make_api_key("bot", owner=owner, scopes=scopes, actor="m", now=timezone.now())

    reader = await in_database(lambda: make(make_user("vera", "viewer"), "READ"))
    stranger = await in_database(lambda: make(make_user("otto"), "READ"))
    own_only = await in_database(lambda: make(make_user("ada", "operator"), "PARTICIPANT"))

    async with viewer("/ws/competitions/private/", key=reader.token) as socket:
        assert "board" in pieces_in(await frame(socket))
    for token in (stranger.token, own_only.token, "dev-api-key"):
        async with viewer("/ws/competitions/private/", key=token) as refused:
            assert refused == 4404


@pytest.mark.parametrize(
    "query", ["seq=x", "seq=-1", "since=9999999999999999999", "range=%00&unit=<"]
)
async def test_odd_queries_do_no_harm(query):
    await in_database(make_running)
    async with viewer(f"/ws/competitions/small/?{query}") as socket:
        assert "pulse" in pieces_in(await frame(socket))


async def test_what_a_viewer_says_is_not_listened_to():
    await in_database(make_running)
    async with viewer("/ws/competitions/small/") as socket:
        await frame(socket)
        await socket.send_to(text_data="x" * 10_000)
        await socket.send_to(bytes_data=b"\x00")
        assert await socket.receive_nothing(timeout=0.3)


async def test_the_last_viewer_closes_the_room():
    await in_database(make_running)
    async with viewer("/ws/competitions/small/") as socket:
        await frame(socket)
        assert list(hub.hub_of_loop().rooms) == ["small"]
    await asyncio.sleep(0.05)
    assert hub.hub_of_loop().rooms == {}


async def test_a_slow_viewer_holds_up_nobody_and_is_dropped(monkeypatch):
    monkeypatch.setattr(hub, "BLOCKED_SECONDS", 0.3)
    competition = await in_database(make_running)
    sent: list[str] = []

    async def stuck(message):
        sent.append(message["type"])
        await asyncio.sleep(60)

    async def silent():
        await asyncio.sleep(60)
        return {"type": "websocket.disconnect"}

    slow = asyncio.create_task(
        hub.serve_viewer("small", silent, stuck, view=hub.ChartView(), as_json=False, since=None)
    )
    async with viewer("/ws/competitions/small/") as quick:
        await frame(quick)
        await in_database(tell, competition, "state")
        await frame(quick, seconds=2)
        await asyncio.wait_for(slow, 5)

    assert sent == ["websocket.send", "websocket.close"]


async def test_a_mailbox_keeps_only_the_newest_version_of_a_piece():
    waiting = hub.Viewer(hub.ChartView(), as_json=False, sent=0)
    waiting.put({"board": "<b1>", "pulse": "<p1>"})
    waiting.put({"board": "<b2>", "feed": "<f2>", "pulse": "<p2>"})

    assert waiting.take() == "<b2><f2><p2>"
    assert not waiting.mailbox


async def test_a_piece_that_cannot_be_rendered_does_not_end_the_room(monkeypatch):
    competition = await in_database(make_running)
    async with viewer(f"/ws/competitions/small/?seq={competition.event_seq}") as socket:
        await frame(socket)
        with monkeypatch.context() as broken:

            def fail(*args, **kwargs):
                raise ValueError("a broken template")

            broken.setattr(hub, "render_pieces", fail)
            await in_database(tell, competition, "state")
            await asyncio.sleep(0.3)
        seq = await in_database(tell, competition, "state")
        assert f'data-seq="{seq}"' in await frame(socket)


async def test_a_quiet_line_is_told_to_be_alive(monkeypatch):
    monkeypatch.setattr(hub, "QUIET_SECONDS", 0.2)
    competition = await in_database(make_running)
    async with viewer(f"/ws/competitions/small/?seq={competition.event_seq}") as socket:
        await frame(socket)
        assert pieces_in(await frame(socket, seconds=1)) == ["pulse"]


async def test_a_rolled_back_event_is_not_announced(monkeypatch):
    competition = await in_database(make_running)
    heard: list[int] = []
    monkeypatch.setattr(bridge, "announce", lambda slug, seq: heard.append(seq))

    def write_and_take_back():
        with transaction.atomic():
            tell(competition, "state")
            transaction.set_rollback(True)

    await in_database(write_and_take_back)
    assert heard == []
    await in_database(tell, competition, "state")
    assert len(heard) == 1


async def test_announcing_never_raises_into_the_writer_and_rests_after_a_loss(monkeypatch):
    tried: list[int] = []

    async def fail(message):
        tried.append(message["seq"])
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(bridge, "_group_send", fail)
    monkeypatch.setattr(bridge, "_rest_until", 0.0)
    monkeypatch.setattr(bridge, "REST_SECONDS", 0.3)
    bridge.bind_server_loop(asyncio.get_running_loop())

    bridge.announce("small", 1)
    await asyncio.sleep(0.05)
    await sync_to_async(bridge.announce, thread_sensitive=False)("small", 2)
    await asyncio.sleep(0.35)
    await sync_to_async(bridge.announce, thread_sensitive=False)("small", 3)
    await asyncio.sleep(0.05)

    assert tried == [1, 3]


async def test_without_a_serving_loop_nothing_is_sent_to_the_memory_layer():
    bridge._server_loop = None
    await sync_to_async(bridge.announce, thread_sensitive=False)("small", 1)
    assert not bridge.is_loop_bound()
