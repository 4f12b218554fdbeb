"""Every socket with every account and key at every season."""

from __future__ import annotations

import re

import pytest
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser

from competitions.routing import websocket_urlpatterns
from tests.authorisation.table import (
    SEASONS,
    TABLE,
    allows,
    make_accounts,
    make_keys,
    make_seasons,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

SOCKETS: dict[str, str] = TABLE["sockets"]
application = URLRouter(websocket_urlpatterns)


def test_the_table_names_every_socket_and_no_other():
    assert {f"/{entry.pattern}" for entry in websocket_urlpatterns} == SOCKETS.keys()


async def is_let_in(path: str, *, user=None, token: str = "") -> bool:
    headers = [(b"x-api-key", token.encode())] if token else []
    socket = WebsocketCommunicator(application, f"{path}?format=json", headers)
    socket.scope["user"] = user or AnonymousUser()
    connected, _ = await socket.connect(timeout=10)
    if connected:
        await socket.disconnect()
    return connected


async def test_each_account_and_key_is_let_in_where_the_table_says():
    accounts = await database_sync_to_async(make_accounts)()
    right, wrong_keys = await database_sync_to_async(make_keys)(accounts)
    await database_sync_to_async(make_seasons)()
    wrong = []
    for route, rule in SOCKETS.items():
        for season in SEASONS:
            path = re.sub(r"<\w+:slug>", season, route)
            for who, user in accounts.items():
                if await is_let_in(path, user=user) != allows(rule, who, season, of="accounts"):
                    wrong.append((route, season, who))
            for who, token in right.items():
                if await is_let_in(path, token=token) != allows(rule, who, season, of="keys"):
                    wrong.append((route, season, who))
            for who, token in wrong_keys.items():
                if await is_let_in(path, token=token):
                    wrong.append((route, season, who))

    assert wrong == []
